from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

from tenants.calendar import month_start
from tenants.limits import Period

from ..stage import ClockedStage

ZONE = "Asia/Kolkata"  # +05:30: the month starts at 18:30 UTC


def months() -> list[Period]:
    edges = [month_start(ZONE, 2026, month) for month in (11, 12, 13, 14)]
    keys = ("2026-11", "2026-12", "2027-01")
    return [Period(key, a, b) for key, (a, b) in zip(keys, pairwise(edges), strict=True)]


def ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def test_the_quota_is_whole_again_in_the_first_millisecond_of_the_local_month(clocked: ClockedStage) -> None:
    clocked.tenant(windows={}, quota=2, months=months())
    text = clocked.key()
    edge = ms(datetime(2026, 11, 30, 18, 30, tzinfo=UTC))
    assert [clocked.decide_at(edge - 1 - n, text).allowed for n in range(3)] == [True, True, False]
    refused = clocked.decide_at(edge - 1, text)
    assert (refused.code, refused.retry_after_ms, refused.resets_at) == ("quota_exceeded", 1, edge // 1000)
    assert [clocked.decide_at(edge + n, text).used for n in range(2)] == [1, 2]


def test_the_billing_hours_do_not_straddle_two_months(clocked: ClockedStage) -> None:
    clocked.tenant(windows={}, quota=None, months=months())
    text = clocked.key()
    edge = ms(datetime(2026, 11, 30, 18, 30, tzinfo=UTC))
    before, after = clocked.decide_at(edge - 1, text), clocked.decide_at(edge, text)
    assert datetime.fromtimestamp(before.hour, UTC) == datetime(2026, 11, 30, 17, 30, tzinfo=UTC)
    assert datetime.fromtimestamp(after.hour, UTC) == datetime(2026, 11, 30, 18, 30, tzinfo=UTC)


def test_the_policy_of_three_months_says_when_it_is_out_of_date(clocked: ClockedStage) -> None:
    clocked.tenant(windows={}, quota=5, months=months())
    text = clocked.key()
    end = ms(month_start(ZONE, 2027, 2))
    assert clocked.decide_at(end - 1, text).allowed
    assert clocked.decide_at(end, text).code == "enforcement_unavailable"  # the core republishes and asks again
