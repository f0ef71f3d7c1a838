from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tenants.enforcement import holds as module
from tenants.enforcement.holds import Hold, Holds, Known

from .stage import Stage

HOUR = 3_600


class Database:
    """What PostgreSQL would know."""

    def __init__(self, used: int = 0) -> None:
        self.known = Known(used)
        self.asked = 0

    def __call__(self) -> Known:
        self.asked += 1
        return self.known


def holds(stage: Stage, database: Database, month: str = "2026-11") -> Holds:
    return Holds(stage.connection, "acme", month, database)


def reserve(where: Holds, id: str, hours: int, cap: int | None = 100, lapse_after: float = 60) -> module.Answer:
    return where.reserve(
        id, hours * HOUR, cap=None if cap is None else cap * HOUR, rate=1_000, lapse_after=lapse_after, most=1_000
    )


def test_64_clients_never_hold_more_than_the_cap(stage: Stage) -> None:
    database = Database(used=30 * HOUR)

    def client(number: int) -> int:
        return sum(reserve(holds(stage, database), f"{number}-{n}", 1).code == "" for n in range(5))

    with ThreadPoolExecutor(64) as team:
        assert sum(team.map(client, range(64))) == 70


def test_a_refusal_says_what_is_used_held_asked_and_left(stage: Stage) -> None:
    where = holds(stage, Database(used=90 * HOUR))
    assert reserve(where, "a", 8).left == 2 * HOUR
    refused = reserve(where, "b", 3)
    assert (refused.code, refused.used, refused.held, refused.asked, refused.left) == (
        "quota_exceeded", 90 * HOUR, 8 * HOUR, 3 * HOUR, 2 * HOUR,
    )  # fmt: skip
    assert reserve(where, "c", 2).code == ""


def test_the_same_id_is_counted_once_and_another_amount_is_a_conflict(stage: Stage) -> None:
    where = holds(stage, Database())
    first, again = reserve(where, "a", 60), reserve(where, "a", 60)
    assert (first.code, again.code, again.lapses_ms) == ("", "", first.lapses_ms)
    assert reserve(where, "a", 50).code == "conflict"
    assert reserve(where, "b", 40).code == ""


def test_settling_gives_back_what_was_not_used_and_keeps_what_was(stage: Stage) -> None:
    database = Database()
    where = holds(stage, database)
    assert reserve(where, "a", 100).code == ""
    assert where.settle("a", 30 * HOUR)
    assert not where.settle("a", 10 * HOUR)
    assert reserve(where, "b", 71).code == "quota_exceeded"
    assert reserve(where, "b", 70).code == ""
    database.known = Known(used=30 * HOUR, absorbed=["a"])  # now the ledger has it
    where.absorb()
    assert reserve(where, "c", 1).code == "quota_exceeded"
    assert where.settle("b", 0)
    answer = reserve(where, "c", 70)
    assert (answer.code, answer.used, answer.left) == ("", 30 * HOUR, 0)


def test_an_abandoned_hold_lapses_and_counts_what_it_can_have_used(stage: Stage) -> None:
    where = holds(stage, Database())
    assert reserve(where, "a", 100, lapse_after=0.05).code == ""
    assert reserve(where, "b", 1).code == "quota_exceeded"
    deadline = time.monotonic() + 10
    while reserve(where, "b", 99).code:
        assert time.monotonic() < deadline
    assert not where.heartbeat("a", lapse_after=60)


def test_a_heartbeat_keeps_it(stage: Stage) -> None:
    where = holds(stage, Database())
    before = reserve(where, "a", 1).lapses_ms
    assert where.heartbeat("a", lapse_after=3_600)
    assert reserve(where, "a", 1).lapses_ms > before + 3_000_000
    assert not where.heartbeat("unknown", lapse_after=60)


def test_holds_are_built_again_from_the_database_when_redis_has_lost_them(stage: Stage) -> None:
    database = Database(used=10 * HOUR)
    where = holds(stage, database)
    assert reserve(where, "a", 40).code == ""
    now = int(time.time() * 1000)
    database.known = Known(10 * HOUR, running=[Hold("a", 40 * HOUR, 1_000, now, now, now + 60_000)])
    stage.command("FLUSHALL")
    assert reserve(where, "b", 51).code == "quota_exceeded"
    assert reserve(where, "b", 50).code == ""
    assert where.heartbeat("a", lapse_after=60)
    assert database.asked == 2


def test_a_new_month_asks_the_ledger_anew_and_keeps_what_runs(stage: Stage) -> None:
    database = Database(used=95 * HOUR)
    assert reserve(holds(stage, database), "a", 5).code == ""
    database.known = Known(0)
    december = holds(stage, database, "2026-12")
    assert reserve(december, "b", 96).code == "quota_exceeded"
    assert reserve(december, "b", 95).code == ""


def test_none_is_unlimited_and_zero_refuses_all(stage: Stage) -> None:
    where = holds(stage, Database())
    assert reserve(where, "a", 10**6, cap=None).left is None
    assert reserve(where, "b", 1, cap=0).code == "quota_exceeded"


def test_the_number_of_holds_is_capped(stage: Stage) -> None:
    where = holds(stage, Database())
    answers = [where.reserve(f"{n}", 1, cap=None, rate=1, lapse_after=60, most=3).code for n in range(4)]
    assert answers == ["", "", "", "too_many_reservations"]


@pytest.mark.parametrize("lost", ["g", "used"])
def test_they_go_away_by_themselves(stage: Stage, lost: str) -> None:
    reserve(holds(stage, Database()), "a", 1)
    assert 0 < stage.command("TTL", "r:{acme}") <= 100 * 86_400
    assert stage.command("HEXISTS", "r:{acme}", lost)
