"""Locust as a master with workers: what a worker did not do well is not hidden by a master that is content."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.observability import run_load

PROGRAM = """#!/bin/sh
case "$*" in
*--worker*) {worker} ;;
*) exit {master} ;;
esac
"""


@pytest.mark.parametrize(
    ("master", "worker", "expected"),
    [(0, "exit 0", 0), (1, "exit 0", 1), (0, "exit 3", 1), (0, "exec sleep 600", 1)],
    ids=["all well", "an objective missed", "a worker fails", "a worker stays"],
)
def test_the_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, master: int, worker: str, expected: int) -> None:
    program = tmp_path / "locust"
    program.write_text(PROGRAM.format(master=master, worker=worker))
    program.chmod(0o755)
    monkeypatch.setattr(run_load, "BIN", tmp_path)
    monkeypatch.setattr(run_load, "LEAVE_SECONDS", 1 if "sleep" in worker else 60)
    assert run_load.locust("http://127.0.0.1:1", summary=tmp_path / "summary.json", workers=2) == expected
