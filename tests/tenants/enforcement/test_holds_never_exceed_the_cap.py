from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tenants.enforcement.holds import PART, Answer, Caps, Hold, Holds, NotBuiltError

from .stage import Stage

HOUR = 3_600


def holds(stage: Stage, month: str = "2026-11", *, used: int = 0, running: list[Hold] | None = None) -> Holds:
    """The holds of acme, built from what the database would know."""
    where = Holds(stage.connection, "acme", month)
    where.build("epoch", used * HOUR, running or [])
    return where


def hold(id: str, hours: int, **values: int | bytes) -> Hold:
    return replace(Hold(id, hours * HOUR, PART), **values)


def reserve(where: Holds, id: str, hours: int, cap: int | None = 100, **values: int | bytes) -> Answer:
    return where.reserve(hold(id, hours, **values), Caps(quota=None if cap is None else cap * HOUR))


def test_64_clients_never_hold_more_than_the_cap(stage: Stage) -> None:
    holds(stage, used=30)

    def client(number: int) -> int:
        mine = Holds(stage.connection, "acme", "2026-11")
        return sum(reserve(mine, f"{number}-{n}", 1).code == "" for n in range(5))

    with ThreadPoolExecutor(64) as team:
        assert sum(team.map(client, range(64))) == 70


def test_an_answer_says_what_is_used_held_and_under_which_epoch(stage: Stage) -> None:
    where = holds(stage, used=90)
    assert reserve(where, "a", 8).epoch == "epoch"
    refused = reserve(where, "b", 3)
    assert (refused.code, refused.used, refused.held, refused.gpus) == ("quota", 90 * HOUR, 8 * HOUR, PART)
    assert reserve(where, "c", 2).code == ""


def test_the_same_id_is_counted_once_and_another_amount_is_a_conflict(stage: Stage) -> None:
    where = holds(stage)
    assert [reserve(where, "a", 60).code, reserve(where, "a", 60).code] == ["", ""]
    assert reserve(where, "a", 50).code == "conflict"
    assert reserve(where, "b", 40).code == ""


def test_more_takes_the_place_of_what_was_held(stage: Stage) -> None:
    where = holds(stage)
    reserve(where, "a", 60)
    caps = Caps(quota=100 * HOUR)
    assert where.reserve(hold("a", 101), caps, more=True).code == "quota"
    assert where.reserve(hold("a", 100), caps, more=True).code == ""
    assert where.reserve(hold("b", 1), caps, more=True).code == "conflict"
    assert reserve(where, "b", 1).code == "quota"


def test_ending_gives_back_what_was_not_used_and_keeps_what_was(stage: Stage) -> None:
    where = holds(stage)
    assert reserve(where, "a", 100).code == ""
    assert where.end("a", 30 * HOUR, 0)
    assert not where.end("a", 10 * HOUR, 0)
    assert reserve(where, "b", 71).code == "quota"
    assert reserve(where, "b", 70).code == ""


def test_what_is_booked_meanwhile_moves_from_held_to_used(stage: Stage) -> None:
    where = holds(stage)
    reserve(where, "a", 50)
    assert where.left("a", 20 * HOUR, 0)
    assert where.left("a", 20 * HOUR, 0)
    answer = reserve(where, "b", 50)
    assert (answer.code, answer.used, answer.held) == ("", 30 * HOUR, 20 * HOUR)


def test_the_ledgers_use_counts_when_it_knows_more(stage: Stage) -> None:
    where = holds(stage, used=10)
    assert where.reserve(hold("a", 10), Caps(used=91 * HOUR, quota=100 * HOUR)).code == "quota"


def test_gpus_at_once_and_the_number_of_reservations_are_capped(stage: Stage) -> None:
    where = holds(stage)
    caps = Caps(gpus=2 * PART, reservations=3)
    codes = [where.reserve(hold(f"{n}", 1, gpus=PART // 2), caps).code for n in range(4)]
    assert codes == ["", "", "", "reservations"]
    assert where.reserve(hold("big", 1, gpus=PART), replace(caps, reservations=9)).code == "gpus"


def test_money_is_capped_as_a_whole_and_by_project(stage: Stage) -> None:
    where = holds(stage)
    blue, red = b"blue    ", b"red     "
    caps = Caps(money=100, project_money=50)
    assert where.reserve(hold("a", 1, cost=40, project=blue), caps).code == ""
    assert where.reserve(hold("b", 1, cost=20, project=blue), caps).code == "project_budget"
    assert where.reserve(hold("c", 1, cost=50, project=red), caps).code == ""
    assert where.reserve(hold("d", 1, cost=11), Caps(money=100)).code == "budget"


def test_the_cost_of_an_ended_hold_lingers_until_rated_usage_shows_it(stage: Stage) -> None:
    where = holds(stage, running=[Hold("old", 0, 0, 70, ended_ms=int(time.time() * 1000) - 1)])
    assert where.reserve(hold("a", 1, cost=80), Caps(money=100)).code == ""
    where.end("a", HOUR, 80)
    assert where.reserve(hold("b", 1, cost=30), Caps(money=100)).code == "budget"


@pytest.mark.parametrize("loss", ["FLUSHALL", "another month"])
def test_nothing_is_granted_before_the_holds_are_built(stage: Stage, loss: str) -> None:
    where = holds(stage)
    if loss == "FLUSHALL":
        stage.command("FLUSHALL")
    else:
        where = Holds(stage.connection, "acme", "2026-12")
    with pytest.raises(NotBuiltError):
        reserve(where, "a", 1)
    assert not where.end("a", 1, 0)
    where.build("next", 90 * HOUR, [hold("old", 5)])
    assert reserve(where, "a", 6).code == "quota"
    assert reserve(where, "a", 5).epoch == "next"


def test_none_is_unlimited_and_zero_refuses_all(stage: Stage) -> None:
    where = holds(stage)
    assert reserve(where, "a", 10**6, cap=None).code == ""
    assert reserve(where, "b", 1, cap=0).code == "quota"


def test_they_go_away_by_themselves(stage: Stage) -> None:
    holds(stage)
    assert 0 < stage.command("TTL", "r:{acme}") <= 100 * 86_400
