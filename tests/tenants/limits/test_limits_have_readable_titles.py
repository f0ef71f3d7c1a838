from __future__ import annotations

from decimal import Decimal

import pytest

from tenants.models import Override, QuotaRequest


@pytest.mark.parametrize(
    ("kind", "name", "limit", "title"),
    [
        ("quota", "gpu_hours", Decimal("1500000.000000"), "gpu hours → 1,500,000"),
        ("quota", "storage_gb", Decimal("0.500000"), "storage gb → 0.5"),
        ("rate_limit", "minute", 90, "calls per minute → 90"),
        ("quota", "api_calls", None, "api calls → ∞"),
    ],
)
def test_overrides_and_requests_say_what_they_count(kind: str, name: str, limit: Decimal | None, title: str) -> None:
    assert str(Override(tenant_id=1, kind=kind, name=name, limit=limit)) == title
    if limit is not None:
        assert str(QuotaRequest(tenant_id=1, kind=kind, name=name, asked=limit)) == title
