from __future__ import annotations

import json
import os
import pwd

import pytest

from metering.attribution.containers import labels_of, place_of
from metering.attribution.policy import Owners
from metering.attribution.steps import Rule

ID = "0123456789abcdef" * 4
TENANTS = {"acme", "globex"}
DOCKER = f"0::/system.slice/docker-{ID}.scope\n"


def docker(proc, labels, id=ID):
    folder = proc.root.parent / "var/lib/docker/containers" / id
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.v2.json").write_text(json.dumps({"Config": {"Labels": labels}}))


def owner(proc, pid=11, **more):
    return Owners(proc=proc.root, variable="PORTAL_TENANT", tenants=TENANTS, **more).of(pid)


@pytest.fixture(autouse=True)
def nothing_remembered():
    labels_of.cache_clear()


def test_a_docker_label_names_the_tenant(proc):
    proc.add(11)
    (proc.root / "11/cgroup").write_text(DOCKER)
    docker(proc, {"aurelius.tenant": "acme"})
    found = owner(proc)
    assert (found.tenant, found.by) == ("acme", "container")


def test_an_annotation_of_a_pod_names_it_and_its_namespace_is_in_the_table(proc):
    proc.add(11)
    (proc.root / "11/cgroup").write_text(f"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope\n")
    folder = proc.root.parent / "run/containerd/io.containerd.runtime.v2.task/k8s.io" / ID
    folder.mkdir(parents=True)
    notes = {"io.kubernetes.cri.sandbox-namespace": "team-globex", "io.kubernetes.cri.sandbox-name": "train-0"}
    (folder / "config.json").write_text(json.dumps({"annotations": notes}))
    assert owner(proc).tenant is None
    assert owner(proc, rules=[Rule("container", "team-globex/*", "globex")]).tenant == "globex"
    labels_of.cache_clear()
    (folder / "config.json").write_text(json.dumps({"annotations": notes | {"aurelius.io/tenant": "acme"}}))
    proc.add(12)
    (proc.root / "12/cgroup").write_text(DOCKER)
    assert owner(proc, 12).tenant == "acme"


def test_a_label_comes_before_the_environment_and_after_the_jobs_reservation(proc):
    proc.add(11, PORTAL_TENANT="globex")
    (proc.root / "11/cgroup").write_text(f"0::/slurm/uid_1001/job_55/step_0/docker-{ID}.scope\n")
    docker(proc, {"aurelius.tenant": "acme"})
    assert owner(proc).tenant == "acme"
    found = owner(proc, reserved={"r": "globex"}, jobs={"55": "r"})
    assert (found.tenant, found.by, found.reservation) == ("globex", "reservation", "r")


def test_a_unix_user_is_in_the_table(proc):
    proc.add(11)
    me = pwd.getpwuid(os.getuid()).pw_name
    found = owner(proc, rules=[Rule("user", me, "acme")])
    assert (found.tenant, found.by) == ("acme", "mapping")
    assert owner(proc, rules=[Rule("user", f"{me}x", "acme")]).why == "no PORTAL_TENANT in its environment"


@pytest.mark.parametrize("broken", ["not json", "[]", '{"Config": null}', '{"Config": {"Labels": ["x"]}}', "{}"])
def test_what_a_runtime_writes_wrong_is_no_label(proc, broken):
    proc.add(11, PORTAL_TENANT="globex")
    (proc.root / "11/cgroup").write_text(DOCKER)
    docker(proc, {})
    (proc.root.parent / f"var/lib/docker/containers/{ID}/config.v2.json").write_text(broken)
    assert owner(proc).tenant == "globex"


def test_control_groups_of_both_versions_are_read():
    old = f"12:devices:/docker/{ID}\n11:memory:/docker/{ID}\n1:name=systemd:/\n"
    assert place_of(old).container == ID
    assert place_of("0::/system.slice/slurmstepd.scope/job_812/step_0/user/task_0\n").job == "812"
    assert place_of("0::/user.slice\n").names == ("/user.slice",)
    assert place_of("") == place_of("nonsense")
