"""Stopping asks all children at once, waits as long as each may take, then kills; nothing is left."""

import os
import sys
import time

import psutil

from portal.demo.supervisor import Child, Supervisor

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
)
POLITE = "import time; print('up', flush=True); time.sleep(600)"


def test_polite_and_stubborn(tmp_path):
    said = []
    supervisor = Supervisor(tmp_path, os.environ, said.append)
    children = [Child(f"polite{i}", [sys.executable, "-c", POLITE]) for i in range(2)]
    children.append(Child("stubborn", [sys.executable, "-c", STUBBORN], patience=0.5))
    for child in children:
        supervisor.start(child)
    deadline = time.monotonic() + 20
    while not all(supervisor.log_of(child).read_text() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    processes = [psutil.Process(child.process.pid) for child in children]

    supervisor.stop()

    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)
    assert said == ["  stubborn did not stop in 0 s and is killed"]


def test_a_command_that_fails_is_told_with_its_log(tmp_path):
    import pytest

    from portal.demo.folder import DemoError

    supervisor = Supervisor(tmp_path, os.environ, lambda text: None)
    with pytest.raises(DemoError, match=r"migrate failed: RuntimeError: no table \(log: .*migrate\.log\)\."):
        supervisor.run("migrate", [sys.executable, "-c", "raise RuntimeError('no table')"])
