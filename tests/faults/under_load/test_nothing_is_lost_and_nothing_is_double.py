"""Faults while calls are decided and events are reported, on real processes: PostgreSQL restarted, a worker killed. Nothing lost, nothing double."""

from __future__ import annotations

import pytest

from portal.embedded import free_port
from tests.faults.under_load.house import SEED, House, Load, until

pytestmark = pytest.mark.slow


def test_postgresql_is_restarted(whole: House) -> None:
    key = whole.ask(SEED)
    web, decision = free_port(), free_port()
    whole.web(web)
    whole.decision(decision)
    load = Load(key, web=web, decision=decision)
    with load.running():
        for stop in (whole.postgres.stop, whole.postgres.kill):  # told to, and by a crash
            load.until_more(batches=4, admitted=40)
            stop()
            load.until_more(admitted=20, retried=2)  # while it is away: calls go on, reports wait
            whole.postgres.start()
            load.until_more(batches=4, admitted=20)
    found = whole.judge(load, "PostgreSQL stopped and killed")
    assert (found["lost"], found["double"]) == (0, 0)
    assert (found["refused"], found["broken"]) == (0, 0), "decisions need no database"
    assert found["retried"]


def test_a_worker_is_killed(whole: House) -> None:
    key = whole.ask(SEED)
    web, decision = free_port(), free_port()
    whole.web(web)
    whole.decision(decision)
    whole.ticker()
    worker = whole.worker()
    load = Load(key, web=web, decision=decision)
    with load.running():
        for _ in range(3):
            before = whole.rolled_up()
            until(lambda before=before: whole.rolled_up() > before, "the worker rolls nothing up")
            load.until_more(batches=2, admitted=20)
            whole.kill(worker)  # the prefork children too, wherever they are
            load.until_more(batches=2, admitted=20)
            worker = whole.worker()
        before = whole.rolled_up()
        until(lambda: whole.rolled_up() > before, "after the kills nothing is rolled up any more")
    whole.kill(worker)
    found = whole.judge(load, "worker killed three times")
    assert (found["lost"], found["double"]) == (0, 0)
    assert (found["refused"], found["broken"], found["retried"]) == (0, 0, 0), "nobody in front notices"
