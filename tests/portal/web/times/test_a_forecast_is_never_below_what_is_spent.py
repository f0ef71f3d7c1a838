from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from metering.costing import costs
from metering.forecasting import Forecast, Range
from metering.models import Meter, UsageRollup
from portal.web.times import ahead
from tests.portal.web.conftest import Cast, text_of


def test_what_was_computed_a_minute_ago_is_lifted_to_what_is_known_now() -> None:
    day = date(2026, 11, 30)
    old = Forecast("good", 30, Decimal(100), day, ((day, Range(Decimal(101), Decimal(105), Decimal(120))),))
    fitted = ahead.at_least(old, Decimal(107))
    assert fitted.so_far == 107
    assert fitted.end == Range(Decimal(107), Decimal(107), Decimal(120))
    assert ahead.at_least(old, Decimal(100)) == old, "nothing is lowered"


def use(cast: Cast, days: int, hours: int) -> None:
    hour = timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(days=days)
    UsageRollup.objects.create(
        tenant=cast.acme, meter="gpu_hours", hour=hour, dims_key=f"{days}", dims={"model": "H100"},
        quantity_micro=hours * 3600 * 10**6, events=1, updated_at=hour,
    )  # fmt: skip


def test_it_is_computed_once_a_minute_and_agrees_with_the_read_model(cast: Cast) -> None:
    for days in range(20):
        use(cast, days, 4)
    now = timezone.now()
    found = ahead.of(cast.acme, now)
    assert found.cost == costs.projection(cast.acme, now)
    assert found.usage == costs.usage_projections(cast.acme, now)
    with CaptureQueriesContext(connection) as statements:
        assert ahead.of(cast.acme, now + timedelta(seconds=30)) == found
    assert not statements.captured_queries
    assert ahead.of(cast.globex, now).cost.so_far == 0, "everybody has their own"


@pytest.mark.parametrize("page", ["", "costs"])
def test_money_so_far_is_read_anew_each_time(cast: Cast, browse: Callable[[str], Client], page: str) -> None:
    use(cast, 0, 4)
    alice = browse("alice")
    assert "$10.00" in text_of(alice.get(f"/t/acme/{page}"))
    UsageRollup.objects.filter(tenant=cast.acme).update(quantity_micro=8 * 3600 * 10**6)
    assert "$20.00" in text_of(alice.get(f"/t/acme/{page}")), "the forecast is kept, the cost is not"
    cache.clear()


def test_a_meter_that_was_added_a_moment_ago_has_its_chart(cast: Cast, browse: Callable[[str], Client]) -> None:
    use(cast, 0, 4)
    alice = browse("alice")
    assert "Renders by day" not in text_of(alice.get("/t/acme/?part=charts"))
    Meter.objects.create(key="renders", name="Renders", base_unit="image", display_unit="image", billing_unit="image")
    answer = alice.get("/t/acme/?part=charts")
    assert answer.status_code == 200
    assert "Renders by day" in text_of(answer)
    cache.clear()
