from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from tenants.limiting import overrides
from tenants.models import Override
from tenants.problems import Invalid
from tests.tenants.cast import Cast


@pytest.mark.parametrize(
    ("kind", "name", "limit"),
    [
        ("rate_limit", "minute", -1),
        ("rate_limit", "minute", Decimal("1.5")),
        ("rate_limit", "minute", 500_000_001),
        ("rate_limit", "second", 1),
        ("rate_limit", "minute", Decimal("NaN")),
        ("quota", "api_calls", Decimal("0.5")),
        ("quota", "gpu_hours", Decimal("0.0000001")),
        ("quota", "gpu_hours", Decimal("Infinity")),
        ("quota", "gpu_hours", Decimal(10) ** 30),
        ("quota", "GPU hours", 1),
        ("magic", "minute", 1),
    ],
)
def test_values(cast: Cast, kind: str, name: str, limit: Decimal | int) -> None:
    with pytest.raises(Invalid):
        overrides.set_limit(cast.acme, kind, name, limit, reason="x", actor="user:olivia")
    assert not Override.objects.exists()


def test_modes_are_for_quotas(cast: Cast) -> None:
    with pytest.raises(Invalid, match="Only quotas"):
        overrides.set_limit(cast.acme, "rate_limit", "minute", 1, mode="soft", reason="x", actor="user:olivia")
    assert (
        overrides.set_limit(cast.acme, "quota", "gpu_hours", 1, mode="soft", reason="x", actor="user:olivia").mode
        == "soft"
    )


@pytest.mark.parametrize("reason", ["", "  ", "x" * 301])
def test_a_reason_is_needed(cast: Cast, reason: str) -> None:
    with pytest.raises(Invalid) as refusal:
        overrides.set_limit(cast.acme, "rate_limit", "minute", 1, reason=reason, actor="user:olivia")
    assert refusal.value.errors[0].pointer == "/reason"


@pytest.mark.parametrize(("start", "end"), [(0, -1), (2, 1), (2, 2)])
def test_it_ends_after_it_starts(cast: Cast, start: int, end: int) -> None:
    now = timezone.now()
    with pytest.raises(Invalid) as refusal:
        overrides.set_limit(
            cast.acme, "rate_limit", "minute", 1, reason="x", actor="user:olivia",
            valid_from=now + timedelta(hours=start), valid_until=now + timedelta(hours=end),
        )  # fmt: skip
    assert refusal.value.errors[0].pointer == "/valid_until"
