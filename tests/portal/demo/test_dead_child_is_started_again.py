"""A process of the demo that dies is noticed, said aloud and started again; its own children do not keep its port."""

import os
import sys
import time

import psutil
import pytest

from portal.demo.supervisor import Child, Supervisor

FAMILY = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); time.sleep(600)"


@pytest.fixture
def said():
    return []


@pytest.fixture
def supervisor(tmp_path, said):
    supervisor = Supervisor(tmp_path, os.environ, said.append)
    yield supervisor
    supervisor.stop()


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_killed_child_comes_back_without_its_family(supervisor, said):
    child = Child("web", [sys.executable, "-c", FAMILY])
    supervisor.start(child)
    leader = psutil.Process(child.process.pid)
    wait_for(lambda: leader.children())
    (grandchild,) = leader.children()
    leader.kill()
    child.process.wait(5)

    wait_for(lambda: supervisor.check() or (child.alive() and child.process.pid != leader.pid))

    assert any("web was killed by SIGKILL" in line and "starting it again in 0.5 s" in line for line in said)
    wait_for(lambda: not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE)


def test_a_child_that_comes_back_has_its_own_environment_and_not_that_of_whoever_was_started_last(supervisor, tmp_path):
    tell = "import os, time; print(os.environ.get('ROLE'), flush=True); time.sleep(600)"
    child = Child("worker", [sys.executable, "-c", tell], environment={**os.environ, "ROLE": "worker"})
    supervisor.start(child)
    supervisor.start(Child("traffic", [sys.executable, "-c", tell], environment={**os.environ, "ROLE": "traffic"}))
    log = tmp_path / "worker.log"
    wait_for(lambda: log.read_text().split() == ["worker"])
    child.process.kill()
    child.process.wait(5)

    wait_for(lambda: supervisor.check() or len(log.read_text().split()) == 2)

    assert log.read_text().split() == ["worker", "worker"]


def test_the_reason_is_the_last_error_of_its_log(supervisor, said):
    supervisor.start(Child("worker", [sys.executable, "-c", "raise ValueError('no such queue')"]))
    wait_for(lambda: supervisor.check() or said)
    assert "worker ended with status 1: ValueError: no such queue" in said[0]


def test_pauses_grow_and_the_fifth_death_ends_the_talk(supervisor, said):
    child = Child("beat", [sys.executable, "-c", "raise SystemExit(3)"])
    supervisor.start(child)
    for _ in range(7):
        child.process.wait(10)
        supervisor.check()
        child.restart_at = 0  # do not wait for the pause
        supervisor.check()
    assert [line.split("again in ")[1] for line in said if "again in" in line] == [
        "0.5 s",
        "1.0 s",
        "2.0 s",
        "4.0 s",
        "8.0 s",
    ]
    assert sum("keeps dying" in line for line in said) == 1


def test_a_dead_server_is_started_on_its_port(supervisor, said, tmp_path):
    from portal.embedded import RedisServer

    server = RedisServer(tmp_path / "redis", durable=False)
    server.start()
    supervisor.servers.append(server)
    port = server.port
    server.process.kill()
    server.process.wait()
    supervisor.check()
    assert server.call("PING") == "+PONG"
    assert server.port == port
    assert "Redis ended unexpectedly" in said[0]


def test_a_log_that_grew_too_large_is_moved_aside(supervisor, tmp_path, monkeypatch):
    from portal.demo import supervisor as module

    monkeypatch.setattr(module, "LARGEST_LOG", 1000)
    child = Child("web", [sys.executable, "-c", "import time; print('x' * 2000, flush=True); time.sleep(600)"])
    supervisor.start(child)
    log = supervisor.log_of(child)
    wait_for(lambda: log.stat().st_size > 1000)
    supervisor.check()
    assert log.stat().st_size == 0
    assert log.with_name("web.log.1").stat().st_size > 1000
