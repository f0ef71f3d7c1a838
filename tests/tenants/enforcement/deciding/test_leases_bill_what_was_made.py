"""Leases of a very hot key: never over a limit, billed as made, given back when not used, and of no use to another secret."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from tenants.enforcement.counting.usage_hash import call_counts, read_usage
from tenants.enforcement.deciding import leases, pipelined
from tenants.enforcement.deciding.pipelined import AsyncEnforcer
from tenants.enforcement.errors import RedisUnavailableError
from tenants.enforcement.http.answers import fields_of
from tenants.enforcement.protocol.scripts import SETTLE

from ..stage import Stage, codes

SIZE = 10
LONG = 3_600.0
"""A lease that does not end by itself within the test."""


def bill(stage: Stage) -> int:
    stage.counts.flush(stage.ledger.record_process_counts)
    stage.ledger.record_redis_counts(call_counts(1, read_usage(stage.connection, "acme")))
    return stage.ledger.billed(1)


def month(stage: Stage) -> int:
    return next(count for name, count in stage.usage().items() if name.startswith("m|"))


@pytest.fixture
def leasing(stage: Stage):
    stage.tenant()
    enforcer = stage.enforcer(lease_size=SIZE, lease_seconds=LONG)
    assert enforcer.leases is not None
    enforcer.leases._run = lambda: None  # settled when the test says so
    yield enforcer
    enforcer.leases.settle_all()


def on_a_loop(stage: Stage, **windows: int | None) -> AsyncEnforcer:
    """As `leasing`, for asyncio; `windows` instead of the standard ones."""
    stage.tenant(**({"windows": windows} if windows else {}))
    enforcer = AsyncEnforcer(stage.config(lease_size=SIZE, lease_seconds=LONG), stage.counts, stage, "asgi")
    assert enforcer.leases is not None
    enforcer.leases._run = lambda: None
    return enforcer


def test_the_limit_is_exact(stage, leasing):
    text = stage.key()
    with ThreadPoolExecutor(8) as threads:
        decisions = list(threads.map(lambda _: leasing.consume(text), range(200)))
    found = codes(decisions)
    assert found["granted"] <= 60
    leasing.leases.settle_all()
    assert bill(stage) == month(stage) == found["granted"]


def test_one_caller_gets_every_call_of_the_limit(stage, leasing):
    text = stage.key()
    assert codes([leasing.consume(text) for _ in range(61)]) == {"granted": 60, "rate_limit_exceeded": 1}


def test_most_calls_do_not_ask_redis(stage, leasing):
    stage.tenants["acme"].windows = {"minute": None, "hour": None, "day": 100_000}
    text = stage.key()
    before = stage.command("INFO", "commandstats").decode()
    for _ in range(200):
        assert leasing.consume(text).allowed
    calls = [_evalsha(text) for text in (before, stage.command("INFO", "commandstats").decode())]
    assert calls[1] - calls[0] <= SIZE + 200 / SIZE + 1


async def test_callers_that_come_together_take_one_lease(stage):
    enforcer = on_a_loop(stage, minute=None, hour=None, day=100_000)
    text = stage.key()
    for _ in range(SIZE - 1):
        await enforcer.consume(text)
    decisions = await asyncio.gather(*(enforcer.consume(text) for _ in range(SIZE)))
    assert codes(decisions) == {"granted": SIZE}
    assert month(stage) in (SIZE - 1 + SIZE, SIZE - 1 + 2 * SIZE)  # one lease, and the next may be taken already
    decisions = await asyncio.gather(*(enforcer.consume(text) for _ in range(3 * SIZE)))
    assert codes(decisions) == {"granted": 3 * SIZE}  # used up before its end, it is followed by another at once
    await enforcer.close()
    assert bill(stage) == month(stage) == SIZE - 1 + 4 * SIZE


async def test_the_next_lease_is_taken_before_the_present_one_is_used_up(stage):
    enforcer = on_a_loop(stage, minute=None, hour=None, day=100_000)
    text = stage.key()
    for _ in range(2 * SIZE - 2):  # as many as make it hot, and one lease but for one call
        await enforcer.consume(text)
    await asyncio.wait(enforcer._taking.values())
    assert month(stage) == SIZE - 1 + 2 * SIZE
    stage.revoke(text)  # from here on nothing can be had from Redis
    left = [(await enforcer.consume(text)).code for _ in range(SIZE + 2)]
    assert left == [""] * (SIZE + 1) + ["invalid_key"]
    enforcer.leases.settle_all()
    assert bill(stage) == month(stage) == SIZE - 1 + 2 * SIZE


async def test_what_was_taken_ahead_and_not_used_goes_back_too(stage):
    enforcer = on_a_loop(stage, minute=None, hour=None, day=100_000)
    text = stage.key()
    for _ in range(2 * SIZE - 2):
        await enforcer.consume(text)
    await enforcer.close()
    assert bill(stage) == month(stage) == 2 * SIZE - 2


async def test_a_lease_whose_caller_left_is_there_for_others_and_settled(stage):
    enforcer = on_a_loop(stage, minute=None, hour=None, day=100_000)
    text = stage.key()
    for _ in range(SIZE - 1):
        await enforcer.consume(text)
    leaving = asyncio.create_task(enforcer.consume(text))
    while not enforcer._taking:
        await asyncio.sleep(0)
    leaving.cancel()
    assert (await enforcer.consume(text)).allowed
    assert month(stage) == SIZE - 1 + SIZE  # one lease was taken, not two
    await enforcer.close()
    assert leaving.cancelled()
    assert bill(stage) == month(stage) == SIZE


def test_leases_are_settled_although_settling_has_failed_once(stage, monkeypatch):
    stage.tenant(windows={"minute": None, "hour": None, "day": 100_000})
    enforcer = stage.enforcer(lease_size=SIZE, lease_seconds=LONG)
    leases, text = enforcer.leases, stage.key()
    told, tell = [], leases._tell_ended

    def fails_once(call, taken, made) -> None:
        told.append(made)
        if len(told) == 1:
            raise RuntimeError("a bug")
        tell(call, taken, made)

    run, leases._run = leases._run, lambda: None
    leases._tell_ended = fails_once
    for _ in range(4 * SIZE):
        enforcer.consume(text)
    rounds = iter([False, False, True])
    monkeypatch.setattr("threading.Event.wait", lambda self, seconds=None: next(rounds))
    run()
    monkeypatch.undo()
    leases.settle_all()
    assert sum(told) == 4 * SIZE - (SIZE - 1)  # those before the key was hot asked for themselves
    assert len(told) > 2


async def test_a_call_out_of_a_lease_is_told_what_every_call_is_told(stage):
    """at_once and decide take from the same lease: nobody who reads the header fields sees by which of them a call came."""
    enforcer = on_a_loop(stage)
    text, told = stage.key(), []
    for number in range(40):
        found = enforcer.at_once(text, "default", 0) if number % 2 else None
        fields = fields_of(await enforcer.consume(text)) if found is None else found[1]
        told.append({name.decode(): value.decode() for name, value in fields})
        assert found is None or found[0].credential.slug == "acme"
    assert [int(each["x-ratelimit-remaining"]) for each in told] == list(range(59, 19, -1))
    assert [int(each["ratelimit"].partition('"month";r=')[2].partition(";")[0]) for each in told] == list(
        range(999_999, 999_959, -1)
    )
    enforcer.leases.settle_all()
    assert bill(stage) == month(stage) == 40


def test_a_call_of_another_cost_has_no_part_in_a_lease(stage, leasing):
    text = stage.key()
    costs = [1] * (SIZE + 3) + [5, 0, 1] * 3
    assert all(leasing.consume(text, cost=cost).allowed for cost in costs)
    leasing.leases.settle_all()
    assert bill(stage) == month(stage) == sum(costs)


async def test_no_call_is_granted_at_once_without_a_lease(stage):
    enforcer = on_a_loop(stage)
    text = stage.key()
    assert enforcer.at_once(text, "default", 0) is None
    for _ in range(SIZE + 1):
        await enforcer.consume(text)
    assert enforcer.at_once(text, "default", 0) is not None
    assert enforcer.at_once(text, "other", 0) is None
    assert enforcer.at_once(text, "default", 1) is None
    assert enforcer.at_once(text[:-1] + b"~", "default", 0) is None
    enforcer.leases.settle_all()
    assert enforcer.at_once(text, "default", 0) is None


def test_leases_are_settled_in_one_round_trip(stage, leasing):
    stage.tenants["acme"].windows = {"minute": None, "hour": None, "day": 100_000}
    texts = [stage.key() for _ in range(4)]
    stage.command("SCRIPT", "LOAD", SETTLE.source)
    for text in texts:
        for _ in range(5 * SIZE):
            leasing.consume(text)
    before = stage.command("INFO", "commandstats").decode()
    leasing.leases.settle_all()
    calls = [_evalsha(text) for text in (before, stage.command("INFO", "commandstats").decode())]
    assert calls[1] - calls[0] == len(texts)  # a sum for each key, not one for each lease
    assert bill(stage) == month(stage) == 4 * 5 * SIZE


def test_settling_loads_the_script_that_redis_has_lost(stage, leasing):
    text = stage.key()
    for _ in range(SIZE + 3):
        leasing.consume(text)
    stage.command("SCRIPT", "FLUSH")
    leasing.leases.settle_all()
    assert bill(stage) == month(stage) == SIZE + 3


def test_without_redis_one_line_tells_of_all_leases_and_all_are_billed(stage, leasing, monkeypatch, caplog):
    texts = [stage.key() for _ in range(3)]
    for text in texts:
        for _ in range(SIZE + 3):
            leasing.consume(text)

    def away() -> None:
        raise RedisUnavailableError("refused", "nobody listens")

    monkeypatch.setattr(leasing.leases._redis, "usable", away)
    leasing.leases.settle_all()
    assert [record.getMessage().partition("(")[0] for record in caplog.records] == [
        "Redis did not take 3 of 3 sums of leases that ended "
    ]
    stage.counts.flush(stage.ledger.record_process_counts)
    assert stage.ledger.billed(1) == 3 * (SIZE + 3)


def _evalsha(text: str) -> int:
    line = next((line for line in text.splitlines() if line.startswith("cmdstat_evalsha:")), "=0,")
    return int(line.partition("calls=")[2].partition(",")[0] or 0)


def test_what_is_not_used_goes_back_to_the_month(stage, leasing):
    text = stage.key()
    made = SIZE + 3
    for _ in range(made):
        leasing.consume(text)
    assert month(stage) > made
    leasing.leases.settle_all()
    assert month(stage) == made
    assert bill(stage) == made


def test_headers_tell_what_is_left_of_the_lease_too(stage, leasing):
    text = stage.key()
    left = [leasing.consume(text).windows[0].left for _ in range(40)]
    assert left == list(range(59, 19, -1))


def test_another_secret_has_no_part_in_it(stage, leasing):
    text = stage.key()
    for _ in range(SIZE + 1):
        leasing.consume(text)
    forged = text[:-4] + (b"AAAA" if not text.endswith(b"AAAA") else b"BBBB")
    assert leasing.consume(forged).code == "invalid_key"


def test_a_lease_of_a_lost_redis_is_billed_by_the_process(stage, leasing, redis_server):
    text = stage.key()
    for _ in range(SIZE + 3):
        leasing.consume(text)
    redis_server.flush()
    stage.build("acme")
    opened = month(stage)
    leasing.leases.settle_all()
    assert month(stage) == opened, "what this month never counted is not given back to it"
    assert bill(stage) == SIZE + 3


def test_a_revoked_key_is_noticed_when_the_lease_ends(stage, leasing):
    text = stage.key()
    for _ in range(SIZE):
        leasing.consume(text)
    stage.revoke(text)
    outcomes = [leasing.consume(text).code for _ in range(SIZE + 1)]
    assert outcomes[-1] == "invalid_key"


async def test_calls_out_of_leases_alone_leave_nothing_behind(stage, monkeypatch):
    """What was measured goes to the metrics in a moment, also where no call asks Redis for itself any more."""
    monkeypatch.setattr(pipelined, "METRICS_SECONDS", 0)
    enforcer = on_a_loop(stage, minute=None, hour=None, day=100_000)
    text = stage.key()
    for _ in range(SIZE):  # from the last on it is hot
        await enforcer.consume(text)
    enforcer.flush_metrics()
    before = enforcer.seconds._sum.get()
    for _ in range(SIZE // 2):
        assert (await enforcer.consume(text)).allowed
    for _ in range(10):
        await asyncio.sleep(0)
    assert enforcer._measured == []
    assert enforcer.seconds._sum.get() > before
    await enforcer.close()


@pytest.fixture
def later(monkeypatch):
    """Puts the clock of leases on by so many seconds."""

    def put_on(seconds: float) -> None:
        monkeypatch.setattr(leases, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + seconds))

    return put_on


@pytest.mark.parametrize("revoked", [False, True])
def test_a_lease_ends_with_its_time(stage, later, revoked):
    stage.tenant()
    enforcer = stage.enforcer(lease_size=SIZE, lease_seconds=100.0)
    enforcer.leases._run = lambda: None
    text = stage.key()
    for _ in range(SIZE + 2):
        assert enforcer.consume(text).allowed
    if revoked:
        stage.revoke(text)
    later(99.0)
    assert enforcer.consume(text).allowed
    later(101.0)
    assert enforcer.at_once(text, "default", 0) is None
    assert enforcer.consume(text).code == ("invalid_key" if revoked else "")
    enforcer.leases.settle_all()
    assert bill(stage) == month(stage) == SIZE + 3 + (not revoked)


def test_a_lease_is_billed_in_one_hour(stage, leasing):
    """It ends with the billing hour in which it was taken, however long leases last."""
    text = stage.key()
    for _ in range(SIZE + 1):
        leasing.consume(text)
    lease = leasing.leases.of((text, "default", 0))
    left_of_the_hour = lease.taken.hour + 3_600 - lease.taken.now_ms / 1000
    assert 0 < left_of_the_hour <= 3_600
    now = time.monotonic()
    assert not lease.is_over(now)
    assert lease.is_over(now + left_of_the_hour)


def test_near_a_limit_a_call_asks_once(stage, leasing):
    stage.tenants["acme"].windows = {"minute": SIZE - 1 + 5 * SIZE + 7, "hour": None, "day": None}
    text = stage.key()
    for _ in range(SIZE - 1 + 5 * SIZE):
        leasing.consume(text)
    before = stage.command("INFO", "commandstats").decode()  # seven are left: no lease fits any more
    assert codes([leasing.consume(text) for _ in range(7)]) == {"granted": 7}
    assert _evalsha(stage.command("INFO", "commandstats").decode()) - _evalsha(before) <= 1 + 7


def test_off_means_every_call_asks(stage):
    stage.tenant()
    assert stage.enforcer().leases is None


def test_on_an_event_loop(stage):
    stage.tenant()
    text = stage.key()

    async def use() -> list:
        enforcer = AsyncEnforcer(stage.config(lease_size=SIZE, lease_seconds=LONG), stage.counts, stage, door="test")
        decisions = [await enforcer.consume(text) for _ in range(70)]
        enforcer.leases.settle_all()
        return decisions

    assert codes(asyncio.run(use())) == {"granted": 60, "rate_limit_exceeded": 10}
    assert bill(stage) == month(stage) == 60
