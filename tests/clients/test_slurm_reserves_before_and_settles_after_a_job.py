from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from metering.models import Reservation
from tests.clients.conftest import ROOT

SCRIPTS = ROOT / "infra" / "examples" / "slurm"


@pytest.fixture
def slurm(child_environment, portal, tmp_path):
    """Runs a script as slurmd would, for job 42 of the account acme on two GPUs; answers what it printed."""
    config, state = tmp_path / "config", tmp_path / "state"
    (config / "keys").mkdir(parents=True)
    (config / "keys" / "acme").write_text(os.environ["AURELIUS_API_KEY"])
    (config / "config").write_text(f"AURELIUS_URL={portal}\nAURELIUS_GPU_MODEL=H100\nAURELIUS_HEARTBEAT=0.2\n")
    faked = {
        "AURELIUS_SLURM_CONFIG": str(config), "AURELIUS_SLURM_STATE": str(state), "SLURM_JOB_ID": "42", "SLURM_JOB_ACCOUNT": "acme",
        "SLURM_JOB_USER": "alice", "SLURM_JOB_GPUS": "0,1", "SLURM_NODEID": "0", "SLURM_JOB_NUM_NODES": "1",
        "SLURM_JOB_END_TIME": str(int(time.time()) + 7200),
    }  # fmt: skip
    environment = {name: value for name, value in child_environment.items() if name != "AURELIUS_API_KEY"} | faked

    def run(script: str, *, group: bool = False, **more: str | None) -> subprocess.CompletedProcess[str]:
        """`None` takes a variable away; `group` kills the process group when the script ends, as slurmd does."""
        given = {name: value for name, value in (environment | more).items() if value is not None}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen([SCRIPTS / script], env=given, text=True, start_new_session=group, **pipes) as child:
            said, errors = child.communicate(timeout=120)
            if group:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
        return subprocess.CompletedProcess(script, child.returncode, said, errors)

    run.state = state
    yield run
    run("epilog.sh")
    for file in state.glob("*.pid"):
        with_id = Path(f"/proc/{file.read_text().strip()}")
        if with_id.exists():
            os.kill(int(with_id.name), 9)


def test_from_prolog_to_epilog(slurm, only):
    assert slurm("prolog.sh").returncode == 0
    row = only()
    assert (row.gpus, row.gpu_model, row.labels) == (2, "H100", {"user": "alice", "job": "42"})
    assert 7_000 < row.expected_seconds <= 7_200
    deadline = time.monotonic() + 60
    while only().heartbeat_at == row.heartbeat_at:
        assert time.monotonic() < deadline, "no heartbeat"
        time.sleep(0.05)
    assert slurm("task_prolog.sh").stdout == f"export AURELIUS_RESERVATION_ID={row.public_id}\n"
    assert slurm("epilog.sh").returncode == 0
    assert only().state == "settled"
    assert not list(slurm.state.iterdir())


def test_a_prolog_that_runs_twice_reserves_once_and_a_requeued_job_anew(slurm):
    slurm("prolog.sh")
    slurm("prolog.sh")
    assert Reservation.objects.count() == 1
    slurm("epilog.sh")
    slurm("prolog.sh", SLURM_RESTART_COUNT="1")
    assert sorted(Reservation.objects.values_list("state", flat=True)) == ["held", "settled"]


@pytest.fixture
def scontrol(tmp_path):
    """Puts Slurm's commands on the path; `said` is what they were asked. `job` is what `scontrol show job` prints (Slurm 22.05's words)."""
    commands = tmp_path / "bin"
    commands.mkdir()
    asked = tmp_path / "asked"
    asked.touch()

    def make(*, job: str = "", fails: str = "nothing") -> str:
        (tmp_path / "job").write_text(job)
        for name in ("scontrol", "scancel"):
            (commands / name).write_text(
                f'#!/bin/bash\necho "{name} $@" >>{asked}\n'
                f'case "{name} $*" in *{fails}*) exit 1 ;; *"show job"*) cat {tmp_path}/job ;;\n'
                '*"show hostnames n[1-3]") printf "n1\\nn2\\nn3\\n" ;; *"show hostnames "*) echo "${!#}" ;; esac\n'
            )
            (commands / name).chmod(0o755)
        return f"{commands}:{os.environ['PATH']}"

    make.said = lambda: asked.read_text()
    return make


TOO_LONG = 400_000
JOB = """JobId=42 JobName=wrap
   StartTime=1795998871 EndTime={end} Deadline=N/A
   JOB_GRES=gpu:h100:{total}
{nodes}   MinCPUsNode=1 MinMemoryNode=0 MinTmpDiskNode=0
"""
ON_NODES = "     Nodes={} CPU_IDs=0 Mem=0 GRES={}\n"


def as_22_05(**more: str) -> dict[str, str]:
    """What Slurm 22.05 puts into a prolog's environment, as seen on Debian 12: less than the manual of today says."""
    return {
        "SLURM_NODEID": "", "SLURM_JOB_END_TIME": "", "SLURMD_NODENAME": "n1", "SLURM_NODELIST": "n1", "SLURM_JOB_RESTART_COUNT": "0",
    } | more  # fmt: skip


def test_a_refused_job_is_held_with_the_reason_and_the_node_stays(slurm, scontrol):
    done = slurm(
        "prolog.sh", SLURM_JOB_END_TIME=str(int(time.time()) + TOO_LONG), PATH=scontrol(), AURELIUS_REFUSED_PAUSE="0"
    )
    assert (done.returncode, Reservation.objects.count()) == (0, 0)
    assert "do not fit" in done.stderr
    said = scontrol.said()
    assert "Comment=aurelius: " in said
    assert "requeuehold 42" in said
    assert "scancel" not in said


def test_a_refused_job_that_cannot_be_queued_again_is_cancelled(slurm, scontrol):
    """srun and salloc: Slurm refuses to requeue them, and they must not start either."""
    end, path = str(int(time.time()) + TOO_LONG), scontrol(fails="requeuehold")
    done = slurm("prolog.sh", SLURM_JOB_END_TIME=end, PATH=path, AURELIUS_REFUSED_PAUSE="0")

    assert done.returncode == 0
    assert scontrol.said().endswith("scancel 42\n")


def test_what_slurm_does_not_say_scontrol_is_asked(slurm, scontrol, only):
    end = int(time.time()) + 7200
    nodes = ON_NODES.format("n[1-3]", "gpu:h100:2(IDX:0-1)") + ON_NODES.format("n4", "gpu:h100:1(IDX:0),shard:0")
    path = scontrol(job=JOB.format(end=end, total=7, nodes=nodes))
    assert slurm("prolog.sh", PATH=path, **as_22_05(SLURM_NODELIST="n[1-3]")).returncode == 0

    row = only()
    assert row.gpus == 7
    assert 7_000 < row.expected_seconds <= 7_200


def test_a_job_without_time_limit_reserves_what_the_settings_say(slurm, scontrol, only, tmp_path):
    with (tmp_path / "config" / "config").open("a") as file:
        file.write("AURELIUS_HOURS=3\n")
    path = scontrol(job=JOB.format(end="Unknown", total=2, nodes=ON_NODES.format("n1", "gpu:h100:2(IDX:0-1)")))
    assert slurm("prolog.sh", PATH=path, **as_22_05()).returncode == 0
    assert (only().gpus, only().expected_seconds) == (2, 3 * 3600)


def test_only_the_first_node_reserves_when_slurm_numbers_none(slurm, scontrol):
    others = as_22_05(SLURM_NODELIST="n[1-3]", SLURMD_NODENAME="n2")
    assert slurm("prolog.sh", PATH=scontrol(), **others).returncode == 0
    assert not Reservation.objects.exists()


def test_a_requeued_job_of_22_05_reserves_anew(slurm, scontrol):
    path = scontrol()
    slurm("prolog.sh", PATH=path, **as_22_05())
    slurm("epilog.sh", PATH=path)
    slurm("prolog.sh", PATH=path, **as_22_05(SLURM_JOB_RESTART_COUNT="1"))
    assert sorted(Reservation.objects.values_list("state", flat=True)) == ["held", "settled"]


def test_without_path_the_command_of_the_settings_is_found(slurm, only, tmp_path, child_environment):
    """slurmd starts a prolog with no PATH at all."""
    with (tmp_path / "config" / "config").open("a") as file:
        file.write(f"AURELIUS_COMMAND={child_environment['AURELIUS_COMMAND']!r}\n")
    bare = {"PATH": None, "AURELIUS_COMMAND": None}
    assert slurm("prolog.sh", **bare).returncode == 0
    assert slurm("epilog.sh", **bare).returncode == 0
    assert only().state == "settled"


def test_heartbeats_outlive_the_process_group_of_the_prolog(slurm, only):
    """slurmd kills what a prolog leaves in its process group, at the instant at which it ends."""
    slurm("prolog.sh", group=True)
    row = only()
    deadline = time.monotonic() + 60
    while only().heartbeat_at == row.heartbeat_at:
        assert time.monotonic() < deadline, "no heartbeat"
        time.sleep(0.05)


def test_the_epilog_ends_no_process_but_its_own(slurm, only):
    slurm("prolog.sh")
    with subprocess.Popen(["sleep", "600"]) as other:
        own = slurm.state / "42.pid"
        heartbeats = int(own.read_text())
        own.write_text(str(other.pid))  # the number of heartbeats that ended long ago, given to somebody else
        slurm("epilog.sh")
        os.kill(heartbeats, 9)
        assert other.poll() is None
        other.kill()
    assert only().state == "settled"


def test_without_gpus_or_on_other_nodes_nothing_happens(slurm):
    assert slurm("prolog.sh", SLURM_JOB_GPUS="").returncode == 0
    assert slurm("prolog.sh", SLURM_NODEID="1").returncode == 0
    assert slurm("epilog.sh").returncode == 0
    assert not Reservation.objects.exists()


@pytest.mark.parametrize(("policy", "status"), [("open", 0), ("closed", 1)])
def test_a_portal_that_is_away_follows_the_policy(slurm, tmp_path, policy, status):
    (tmp_path / "config" / "config").write_text("AURELIUS_URL=http://127.0.0.1:9\nAURELIUS_GPU_MODEL=H100\n")
    assert slurm("prolog.sh", AURELIUS_FAIL=policy).returncode == status
