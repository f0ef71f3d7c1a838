from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.utils import timezone

from metering.quota_requests import impact

from .conftest import Ask


def extra(cast: Any, asked: int, meter: str = "gpu_hours", present: int | None = 100) -> impact.Extra | None:
    limit = None if present is None else Decimal(present)
    return impact.extra_cost(cast.acme, meter, limit, Decimal(asked), timezone.now())


def test_in_the_proportions_of_late(cast: Any, use: Any) -> None:
    use("10", model="H100")
    found = extra(cast, 150)
    assert found is not None
    assert (str(found.amount.amount), found.at_the_dearest) == ("125.00", False)


def test_at_the_dearest_price_where_nothing_was_used(cast: Any) -> None:
    found = extra(cast, 150)
    assert found is not None
    assert found.at_the_dearest
    assert found.amount.amount >= Decimal(125)


def test_nothing_for_what_is_not_more_or_has_no_limit_or_price(cast: Any) -> None:
    assert extra(cast, 100) is None
    assert extra(cast, 150, present=None) is None
    assert extra(cast, 150, meter="bitcoins") is None


def test_a_window_costs_nothing_by_itself(ask: Ask) -> None:
    found = impact.of(ask(100_000, name="minute", kind="rate_limit"), timezone.now())
    assert found.extra is None
    assert found.exceeds_asked is None
    assert found.measure is not None
    assert found.measure.pk == "api_calls"
