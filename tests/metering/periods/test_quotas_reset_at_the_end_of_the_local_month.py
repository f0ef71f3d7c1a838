from __future__ import annotations

from datetime import UTC, datetime

import pytest

from metering.periods import resets_at
from tenants import calendar


@pytest.mark.parametrize(
    ("zone", "reset"),
    [("UTC", "2026-04-01T00:00+00:00"), ("Europe/Zurich", "2026-03-31T22:00+00:00"), ("Pacific/Auckland", "2026-03-31T11:00+00:00")],
)  # fmt: skip
def test_the_reset_is_an_instant_in_utc(zone: str, reset: str) -> None:
    assert resets_at(zone, datetime(2026, 3, 15, tzinfo=UTC)) == datetime.fromisoformat(reset)


def test_enforcement_and_billing_agree_about_the_month() -> None:
    for zone in ("UTC", "Asia/Kolkata", "America/Sao_Paulo", "Pacific/Apia"):
        now = datetime(2011, 12, 30, 12, tzinfo=UTC)
        _, end = calendar.month_bounds(zone, calendar.month_key(zone, now))
        assert resets_at(zone, now) == end
