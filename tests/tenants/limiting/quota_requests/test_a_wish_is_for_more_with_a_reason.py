from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from tenants.limiting import overrides
from tenants.models import QuotaRequest
from tenants.problems import Invalid

from .conftest import Ask


@pytest.mark.parametrize(
    ("wish", "pointer", "code"),
    [
        ({"asked": Decimal("NaN")}, "/asked", "out_of_range"),
        ({"asked": Decimal("sNaN")}, "/asked", "out_of_range"),
        ({"asked": Decimal("Infinity")}, "/asked", "out_of_range"),
        ({"asked": Decimal(-1)}, "/asked", "out_of_range"),
        ({"asked": Decimal(10) ** 14}, "/asked", "out_of_range"),
        ({"asked": Decimal("150.1234567")}, "/asked", "too_precise"),
        ({"asked": Decimal(100)}, "/asked", "not_more"),
        ({"asked": Decimal(1)}, "/asked", "not_more"),
        ({"name": "api_calls", "asked": Decimal("1000000.5")}, "/asked", "not_whole"),
        ({"kind": "rate_limit", "name": "minute", "asked": Decimal("999.5")}, "/asked", "not_whole"),
        ({"kind": "rate_limit", "name": "minute", "asked": Decimal(10) ** 10}, "/asked", "out_of_range"),
        ({"name": "bitcoins"}, "/name", "unknown"),
        ({"name": "GPU hours"}, "/name", "unknown"),
        ({"kind": "rate_limit", "name": "second"}, "/name", "unknown"),
        ({"kind": "magic"}, "/kind", "unknown"),
        ({"justification": "  \n "}, "/justification", "required"),
        ({"justification": "x" * 2001}, "/justification", "length"),
        ({"valid_until": timezone.now() - timedelta(seconds=1)}, "/valid_until", "past"),
        ({"valid_until": timezone.now() + timedelta(days=500)}, "/valid_until", "out_of_range"),
    ],
)
def test_what_cannot_be_is_refused(ask: Ask, wish: dict[str, Any], pointer: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        ask(**wish)
    assert [(each.pointer, each.code) for each in refused.value.errors] == [(pointer, code)]
    assert not QuotaRequest.objects.exists()


def test_more_than_an_override_gives_is_more(ask: Ask, cast: Any) -> None:
    overrides.set_limit(cast.acme, "quota", "gpu_hours", 200, reason="x", actor="test")
    with pytest.raises(Invalid):
        ask(asked=Decimal(200))
    assert ask(asked=Decimal(201)).limit_then == 200


def test_nothing_is_more_than_unlimited(ask: Ask, cast: Any) -> None:
    overrides.set_limit(cast.acme, "quota", "gpu_hours", None, reason="x", actor="test")
    with pytest.raises(Invalid) as refused:
        ask()
    assert [each.code for each in refused.value.errors] == ["unlimited"]


def test_reservations_caps_can_be_asked_for_though_no_tier_names_them(ask: Ask, settings: Any) -> None:
    settings.RESERVATION_MAX_GPUS = 64
    with pytest.raises(Invalid):
        ask(name="reserved_gpus", asked=Decimal(64))
    assert ask(name="reserved_gpus", asked=Decimal(65)).limit_then == 64
