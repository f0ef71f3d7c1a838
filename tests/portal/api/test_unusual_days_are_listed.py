from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from metering.models import SpendAnomaly
from tenants.models import Tenant
from tests.portal.api.calling import Api, Callers


@pytest.fixture(autouse=True)
def days(callers: Callers) -> None:
    for slug, day, direction in (("acme", 3, "high"), ("acme", 9, "low"), ("globex", 5, "high")):
        SpendAnomaly.objects.create(
            tenant=Tenant.objects.get(slug=slug), day=date(2026, 7, day), direction=direction, cost=Decimal("412.5"), expected=Decimal(141),
            low=Decimal("98.2"), high=Decimal("183.8"), currency="USD", meter="gpu_hours",
        )  # fmt: skip


def test_a_tenant_reads_its_own(callers: Callers) -> None:
    found = callers.person("carol").get("tenants/acme/anomalies").json()["results"]
    assert [(row["tenant"], row["day"]) for row in found] == [("acme", "2026-07-09"), ("acme", "2026-07-03")]


def test_an_operator_reads_everybodys_or_one_tenants(operator: Api) -> None:
    found = operator.get("anomalies").json()["results"]
    assert [(row["tenant"], row["day"]) for row in found] == [
        ("acme", "2026-07-09"),
        ("globex", "2026-07-05"),
        ("acme", "2026-07-03"),
    ]
    assert found[0]["cost"] == "412.50"
    assert operator.get("anomalies?tenant=globex&direction=high").json()["count"] == 1
    assert operator.get("anomalies?tenant=nobody").status_code == 400
    own = operator.get("tenants/acme/anomalies?direction=low").json()["results"]
    assert [row["day"] for row in own] == ["2026-07-09"]
