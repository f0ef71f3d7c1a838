from __future__ import annotations

import importlib.util
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import pytest
import yaml

from metering.models import Reservation
from tests.clients.conftest import ROOT

EXAMPLE = ROOT / "infra" / "examples" / "kubernetes"


@pytest.fixture
def module(monkeypatch):
    spec = importlib.util.spec_from_file_location("admission", EXAMPLE / "admission.py")
    loaded = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "admission", loaded)  # where dataclasses look
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def admission(module, portal, tmp_path):
    (tmp_path / "team-a").write_text(os.environ["AURELIUS_API_KEY"])
    return module.Admission(portal, tmp_path, default_model="H100")


def review(gpus: int = 2, operation: str = "CREATE", namespace: str = "team-a", dry_run: bool = False, **notes: str):
    """As the API server sends it."""
    pod = {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "train-0", "namespace": namespace, "uid": "7a1c", "annotations": notes},
        "spec": {"containers": [{"name": "main", "resources": {"limits": {"nvidia.com/gpu": str(gpus)} if gpus else {}}}]},
    }  # fmt: skip
    which = {"object": pod, "oldObject": None} if operation == "CREATE" else {"object": None, "oldObject": pod}
    request = {"uid": "705ab4f5", "operation": operation, "namespace": namespace, "name": "train-0", "dryRun": dry_run}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request | which}


def status(phase: str):
    """An update of the pod's status, as a scheduler or a kubelet makes it."""
    document = review(operation="CREATE")
    document["request"] |= {"operation": "UPDATE", "subResource": "status", "oldObject": document["request"]["object"]}
    document["request"]["object"] |= {"status": {"phase": phase}}
    return document


def deletion(grace: int | None, **pod):
    """kubectl deletes with the pod's own grace, the kubelet with none when the pod has ended."""
    document = review(operation="DELETE")
    document["request"]["options"] = {"kind": "DeleteOptions", "gracePeriodSeconds": grace}
    document["request"]["oldObject"]["spec"] |= pod
    return document


def answer(admission, document) -> dict:
    found = admission.review(json.loads(json.dumps(document)))
    assert (found["apiVersion"], found["kind"], found["response"]["uid"]) == (
        "admission.k8s.io/v1", "AdmissionReview", "705ab4f5",
    )  # fmt: skip
    return found["response"]


def test_from_admission_to_deletion(admission, only):
    notes = {"aurelius.example/expected-hours": "12", "aurelius.example/project": "mammo"}
    for _ in range(2):  # the API server may review again
        allowed = answer(admission, review(**notes))
        assert allowed["allowed"]
    assert allowed["auditAnnotations"]["reservation"] == str(only().public_id)
    assert (only().gpus, only().labels) == (2, {"pod": "team-a/train-0", "project": "mammo"})
    before = only().heartbeat_at
    assert answer(admission, status("Pending"))["allowed"]
    admission.heartbeats()
    assert only().heartbeat_at > before
    assert answer(admission, review(operation="DELETE"))["allowed"]
    assert only().state == "settled"


def test_a_restarted_webhook_knows_what_is_held(admission, only):
    answer(admission, review())
    admission.held.clear()
    admission.recover()
    answer(admission, review(operation="DELETE"))
    assert only().state == "settled"


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_ended_is_settled_before_anybody_deletes_it(admission, only, phase):
    answer(admission, review())
    answer(admission, status("Running"))
    assert only().state == "held"
    answer(admission, status(phase))
    assert only().state == "settled"
    answer(admission, deletion(0, nodeName="n1"))
    assert only().state == "settled"


def test_a_pod_that_was_refused_afterwards_gets_no_heartbeat(admission, only):
    """A ResourceQuota or another webhook says no later: nobody deletes what never was."""
    answer(admission, review())
    admission.heartbeats()
    assert only().heartbeat_at == only().started_at

    admission.held.clear()
    admission.recover()
    admission.heartbeats()
    assert only().heartbeat_at == only().started_at


def test_a_running_pod_keeps_its_heartbeats_when_the_webhook_restarts(admission, only):
    answer(admission, review())
    answer(admission, status("Running"))
    admission.heartbeats()
    before = only().heartbeat_at
    admission.held.clear()
    (admission.keys / "..data").mkdir()  # as a mounted secret has it
    admission.recover()
    admission.heartbeats()
    assert only().heartbeat_at > before


def test_a_deleted_pod_holds_its_gpus_until_its_grace_is_over(admission, only):
    answer(admission, review())
    answer(admission, deletion(None, nodeName="n1"))
    assert only().state == "held"
    answer(admission, deletion(0, nodeName="n1"))
    assert only().state == "settled"


def test_a_key_that_is_refused_for_a_while_loses_no_reservation(admission, only):
    answer(admission, review())
    answer(admission, status("Running"))
    key = (admission.keys / "team-a").read_text()
    (admission.keys / "team-a").write_text("gpk_test_acme_no_such_key")
    admission.heartbeats()
    (admission.keys / "team-a").write_text(key)
    admission.heartbeats()
    assert only().heartbeat_at > only().started_at


def container(**limits: str):
    return {"name": "c", "resources": {"limits": {f"nvidia.com/{name}": count for name, count in limits.items()}}}


@pytest.mark.parametrize(
    ("spec", "held"),
    [
        ({"containers": [container(gpu="1"), container(gpu="2")]}, {"nvidia.com/gpu": 3}),
        ({"containers": [container(gpu="1")], "initContainers": [container(gpu="4")]}, {"nvidia.com/gpu": 4}),
        ({"containers": [container(gpu="2")], "initContainers": [container(gpu="1") | {"restartPolicy": "Always"}]}, {"nvidia.com/gpu": 3}),
        ({"containers": [container(gpu="1")], "initContainers": [container(gpu="2") | {"restartPolicy": "Always"}, container(gpu="2")]},
         {"nvidia.com/gpu": 4}),
        ({"containers": [container(**{"mig-3g.20gb": "2"})]}, {"nvidia.com/mig-3g.20gb": 2}),
        ({"containers": [{"name": "c", "resources": {"limits": {"cpu": "2", "memory": "1Gi"}}}]}, {}),
        ({"containers": None}, {}),
    ],
)  # fmt: skip
def test_what_a_pod_holds_at_once(module, spec, held):
    assert module.gpus_of({"spec": spec}) == held


def test_a_mig_instance_is_reserved_as_its_part_of_a_gpu(admission, only):
    document = review()
    document["request"]["object"]["spec"]["containers"] = [container(**{"mig-3g.20gb": "2"})]
    assert answer(admission, document)["allowed"]
    assert (only().gpus, str(only().fraction)) == (2, "0.4286")


def test_two_kinds_of_gpus_in_one_pod_are_refused(admission):
    document = review()
    document["request"]["object"]["spec"]["containers"] = [container(**{"mig-3g.20gb": "1"}), container(gpu="1")]
    refused = answer(admission, document)
    assert not refused["allowed"]
    assert "one kind of GPU" in refused["status"]["message"]
    assert not Reservation.objects.exists()


def test_what_does_not_fit_is_refused_with_the_reason(admission):
    refused = answer(admission, review(**{"aurelius.example/expected-hours": "51"}))
    assert (refused["allowed"], refused["status"]["code"]) == (False, 403)
    assert "do not fit" in refused["status"]["message"]
    assert "/t/acme/quotas" in refused["status"]["message"]


@pytest.mark.parametrize(
    ("document", "allowed"),
    [
        (review(gpus=0), True),
        (review(dry_run=True), True),
        (review(namespace="stranger"), False),
        (review(namespace="../team-a"), False),
        (review(**{"aurelius.example/expected-hours": "soon"}), False),
    ],
)
def test_without_gpus_or_in_a_dry_run_nothing_is_reserved(admission, document, allowed):
    assert answer(admission, document)["allowed"] is allowed
    assert not Reservation.objects.exists()


@pytest.mark.parametrize("fail_open", [True, False])
def test_a_portal_that_is_away_follows_the_policy(module, tmp_path, fail_open):
    (tmp_path / "team-a").write_text("gpk_test")
    admission = module.Admission("http://127.0.0.1:9", tmp_path, default_model="H100", fail_open=fail_open)
    assert answer(admission, review())["allowed"] is fail_open


def test_it_is_served_over_http(module, admission):
    server = module.serve(admission, ("127.0.0.1", 0))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/validate?timeout=10s"
    try:
        sent = urllib.request.Request(url, json.dumps(review()).encode(), {"Content-Type": "application/json"})
        assert json.load(urllib.request.urlopen(sent, timeout=30))["response"]["allowed"]
        for wrong in (
            b"{}",
            b"[]",
            b"null",
            b"[" * 100_000,
            json.dumps({"request": review()["request"] | {"object": None}}).encode(),
        ):
            with pytest.raises(urllib.error.HTTPError, match="400"):
                urllib.request.urlopen(urllib.request.Request(url, wrong), timeout=30)
        assert urllib.request.urlopen(url.replace("/validate?timeout=10s", "/healthz"), timeout=30).status == 200
    finally:
        server.shutdown()
        server.server_close()


def test_a_client_that_stalls_in_the_handshake_keeps_nobody_waiting(module, admission, tmp_path):
    cert, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        *subject,
        "-keyout",
        key,
        "-out",
        cert,
    ]
    subprocess.run(made, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    server = module.serve(admission, ("127.0.0.1", 0), context)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = server.server_address
    try:
        with socket.create_connection(address):  # says nothing
            trusting = ssl.create_default_context(cafile=str(cert))
            url = f"https://127.0.0.1:{address[1]}/healthz"
            assert urllib.request.urlopen(url, timeout=30, context=trusting).status == 200
    finally:
        server.shutdown()
        server.server_close()


def test_the_manifest_asks_for_what_the_webhook_answers():
    hook, *_ = yaml.safe_load_all((EXAMPLE / "webhook.yaml").read_text())
    pods, statuses = hook["webhooks"]
    assert (pods["rules"][0]["resources"], pods["rules"][0]["operations"]) == (["pods"], ["CREATE", "DELETE"])
    assert (statuses["rules"][0]["resources"], statuses["rules"][0]["operations"]) == (["pods/status"], ["UPDATE"])
    assert (pods["failurePolicy"], statuses["failurePolicy"]) == ("Fail", "Ignore")
