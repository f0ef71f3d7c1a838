from __future__ import annotations

import os
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

    def run(script: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [SCRIPTS / script], env=environment | more, capture_output=True, text=True, timeout=120, check=False
        )

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


def test_a_refused_job_is_held_with_the_reason_and_the_node_stays(slurm, tmp_path):
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "scontrol").write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/scontrol\n')
    (commands / "scontrol").chmod(0o755)
    done = slurm(
        "prolog.sh", SLURM_JOB_END_TIME=str(int(time.time()) + 400_000), PATH=f"{commands}:{os.environ['PATH']}"
    )
    assert (done.returncode, Reservation.objects.count()) == (0, 0)
    assert "do not fit" in done.stderr
    assert "requeuehold 42" in (tmp_path / "scontrol").read_text()


def test_without_gpus_or_on_other_nodes_nothing_happens(slurm):
    assert slurm("prolog.sh", SLURM_JOB_GPUS="").returncode == 0
    assert slurm("prolog.sh", SLURM_NODEID="1").returncode == 0
    assert slurm("epilog.sh").returncode == 0
    assert not Reservation.objects.exists()


@pytest.mark.parametrize(("policy", "status"), [("open", 0), ("closed", 1)])
def test_a_portal_that_is_away_follows_the_policy(slurm, tmp_path, policy, status):
    (tmp_path / "config" / "config").write_text("AURELIUS_URL=http://127.0.0.1:9\nAURELIUS_GPU_MODEL=H100\n")
    assert slurm("prolog.sh", AURELIUS_FAIL=policy).returncode == status
