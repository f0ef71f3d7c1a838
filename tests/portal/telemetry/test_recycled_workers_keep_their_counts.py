"""Several processes, one page: counts of those that have ended stay, gauges of the living go, and files do not pile up."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.portal.telemetry.conftest import ROOT

WORK = """
import sys
from portal.telemetry import metrics
metrics.TASK_RUNS.labels("t", "succeeded").inc(2)
metrics.TASK_SECONDS.labels("t").observe(0.3)
metrics.POOL.labels("default", "used").set(3)
metrics.INDEXED.labels("studies").set(int(sys.argv[1]))
print("done", flush=True)
sys.stdin.read()
"""
SCRAPE = """
import json
from tenants.exposition import render
from prometheus_client.parser import text_string_to_metric_families
page = render("").body.decode()
print(json.dumps([[s.name, s.labels, s.value] for f in text_string_to_metric_families(page) for s in f.samples]))
"""

FORK_IN_MID_SCRAPE = """
import fcntl, os, sys
from pathlib import Path
from tenants.exposition import _locked
folder = Path(sys.argv[1])
with _locked(folder, fcntl.LOCK_SH):
    if not os.fork():
        os.close(1)
        sys.stdin.read()
        os._exit(0)
with (folder / "lock").open("a") as handle:
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
print("free while the child lives")
"""


@pytest.fixture
def environment(server_environment, tmp_path):
    return {**server_environment, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}


def start(environment: dict[str, str], number: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WORK, str(number)], env=environment, cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "done\n"
    return process


def scrape(environment: dict[str, str]) -> dict[str, float]:
    answer = subprocess.run(
        [sys.executable, "-c", SCRAPE], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {
        name + "".join(f"{{{key}={value}}}" for key, value in sorted(labels.items())): value
        for name, labels, value in json.loads(answer.stdout)
    }


def test_counts_stay_and_gauges_go(environment, tmp_path):
    runs, pool = (
        "portal_task_runs_total{outcome=succeeded}{task=t}",
        "portal_db_pool_connections{pool=default}{state=used}",
    )
    bucket, total = "portal_task_duration_seconds_bucket{le=1.0}{task=t}", "portal_task_duration_seconds_sum{task=t}"
    living = start(environment, 1)
    for number in (7, 5, 3):
        other = start(environment, number)
        found = scrape(environment)
        assert found[pool] == 6, "two live"
        other.communicate("")
    files = len(list(tmp_path.iterdir()))
    for _ in range(2):
        found = scrape(environment)
        assert found[runs] == 8
        assert (found[bucket], found[total]) == (4, pytest.approx(1.2))
        assert found[pool] == 3, "one lives"
        assert found["portal_indexing_documents_processed{index=studies}"] == 7, "the furthest of all"
    assert len(list(tmp_path.iterdir())) < files
    living.communicate("")
    found = scrape(environment)
    assert found[runs] == 8
    assert pool not in found
    kinds = {path.name.rpartition("_")[0] for path in tmp_path.glob("*.db")}
    assert len(list(tmp_path.glob("*.db"))) <= 2 * len(kinds), "one file of the dead a kind, one of the last scraper"


def test_a_child_forked_in_mid_scrape_does_not_keep_the_lock(environment, tmp_path):
    command = [sys.executable, "-c", FORK_IN_MID_SCRAPE, str(tmp_path)]
    process = subprocess.Popen(command, env=environment, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "free while the child lives\n"
    process.communicate("")
