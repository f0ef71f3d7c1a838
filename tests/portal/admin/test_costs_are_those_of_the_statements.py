"""What operators see per tenant is what the tenant sees: one function rates both."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.cache import cache
from django.test import override_settings
from django.urls import reverse
from django.utils import timezone

from metering.costing import costs
from metering.ledger.hours import BillingHours
from metering.models import UsageRollup
from tenants.models import Tenant
from tests.tenants.cast import Cast

from .conftest import Browse, text_of


def use(tenant: Tenant, meter: str, base_units: int, *, days_ago: int = 0, model: str = "") -> None:
    """Rolled-up usage in the hour that many days ago."""
    hour = BillingHours(tenant).start_of(timezone.now() - timedelta(days=days_ago))
    UsageRollup.objects.create(
        tenant=tenant, meter=meter, hour=hour, dims_key=model or "-", dims={"model": model} if model else {},
        quantity_micro=base_units * 10**6, events=1,
    )  # fmt: skip


@pytest.fixture
def used(cast: Cast) -> Cast:
    use(cast.acme, "api_calls", 12_345)
    use(cast.acme, "gpu_hours", 3600 * 10, model="H100")
    use(cast.globex, "api_calls", 2_000_000)
    return cast


def rows_of(response: object) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text_of(response))))  # type: ignore[arg-type]


def test_the_platforms_table_and_file(used: Cast, browse: Browse) -> None:
    sam, url = browse("sam"), reverse("admin:tenants_tenant_costs")
    rows = {row["tenant"]: row for row in rows_of(sam.get(url, {"format": "csv"}))}
    for tenant in (used.acme, used.globex):
        statement = costs.month_to_date(tenant, timezone.now())
        assert Decimal(rows[tenant.slug]["total"]) == statement.total.amount
    assert Decimal(rows["acme"]["api_calls"]) == Decimal("12.35")
    assert Decimal(rows["acme"]["gpu_hours"]) == 25
    page = text_of(sam.get(url))
    assert "$2,000.00" in page
    assert "$2,037.35" in page  # the sum
    assert page.index("Globex") < page.index("Acme Radiology")  # dearest first


def test_the_table_is_added_up_once_a_minute_and_the_file_at_once(used: Cast, browse: Browse) -> None:
    sam, url = browse("sam"), reverse("admin:tenants_tenant_costs")
    assert "$2,037.35" in text_of(sam.get(url))
    use(used.acme, "api_calls", 1_000_000, model="later")
    assert "$2,037.35" in text_of(sam.get(url))
    assert {row["tenant"]: row["total"] for row in rows_of(sam.get(url, {"format": "csv"}))}["acme"] == "1037.35"
    cache.clear()  # a minute later
    assert "$3,037.35" in text_of(sam.get(url))


def test_the_table_comes_in_pages_and_tenants_are_found(
    used: Cast, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.admin.costs.PER_PAGE", 1)
    sam, url = browse("sam"), reverse("admin:tenants_tenant_costs")
    first, second = (text_of(sam.get(url, {"page": number})).partition("All tenants")[2] for number in (1, 2))
    assert "Globex" in first
    assert "Acme Radiology" not in first
    assert "Acme Radiology" in second
    assert "$2,037.35" in first  # the sum is of all
    found = text_of(sam.get(url, {"q": " acme "})).partition("All tenants")[2]
    assert "Acme Radiology" in found
    assert "Globex" not in found
    nothing = text_of(sam.get(url, {"q": "<nobody>"}))
    assert "No tenant is called “&lt;nobody&gt;”." in nothing


def test_a_tenants_lines(used: Cast, browse: Browse) -> None:
    sam, url = browse("sam"), reverse("admin:tenants_tenant_cost", args=[used.acme.pk])
    page = text_of(sam.get(url))
    assert "$37.35" in page
    assert "12,345 calls" in page
    rows = rows_of(sam.get(url, {"format": "csv"}))
    assert sum(Decimal(row["amount"]) for row in rows) == costs.month_to_date(used.acme, timezone.now()).total.amount
    assert "globex" not in page.lower().replace("/globex", "")


def test_other_months_are_a_link_away_and_future_ones_are_not_there(used: Cast, browse: Browse) -> None:
    sam = browse("sam")
    for name, args in (("admin:tenants_tenant_costs", []), ("admin:tenants_tenant_cost", [used.acme.pk])):
        url = reverse(name, args=args)
        assert sam.get(url, {"month": "2024-02"}).status_code == 200
        for wrong in ("2999-01", "2024-13", "x", "２０２４-01", "2024-1"):
            assert sam.get(url, {"month": wrong}).status_code == 404


def test_the_dashboard_adds_up(used: Cast, browse: Browse) -> None:
    page = text_of(browse("sam").get(reverse("admin:tenants_tenant_money")))
    assert "$2,037.35" in page
    assert "Globex" in page
    page = text_of(browse("sam").get(reverse("admin:tenants_tenant_near")))
    assert "Globex" in page
    assert "200%" in page or "2 M" in page or "2M" in page  # globex is over its quota of calls


def test_a_tenants_page_names_its_cost(used: Cast, browse: Browse) -> None:
    sam = browse("sam")
    assert "$37.35" in text_of(sam.get(reverse("admin:tenants_tenant_summary", args=[used.acme.pk])))
    columns = text_of(sam.get(reverse("admin:tenants_tenant_columns"), {"ids": f"{used.acme.pk},x,{used.globex.pk}"}))
    assert "$37.35" in columns
    assert "$2,000.00" in columns
    assert f"?ids={used.acme.pk},{used.globex.pk}" in text_of(sam.get(reverse("admin:tenants_tenant_changelist")))


def test_usage_is_each_tenants_own_month(used: Cast, browse: Browse) -> None:
    sam, url = browse("sam"), reverse("admin:metering_meter_usage")
    page = text_of(sam.get(url, {"tenant": "acme", "meter": "gpu_hours"}))
    assert "10 GPU hours" in page
    assert "model=H100" in page
    assert "2,000,000" not in page
    rows = b"".join(sam.get(url, {"format": "csv"}).streaming_content).decode()  # type: ignore[attr-defined]
    assert {row["tenant"] for row in csv.DictReader(io.StringIO(rows))} == {"acme", "globex"}


def test_a_tenants_usage_by_day(used: Cast, browse: Browse) -> None:
    page = text_of(browse("sam").get(reverse("admin:tenants_tenant_usage", args=[used.acme.pk])))
    assert "12,345 calls" in page
    assert "10 GPU hours" in page
    assert "H100" in page


def test_grafana_stands_where_it_is_configured(used: Cast, browse: Browse) -> None:
    sam, url = browse("sam"), reverse("admin:tenants_tenant_cost", args=[used.acme.pk])
    own = text_of(sam.get(url))
    assert "<iframe" not in own
    assert "Set GRAFANA_OPERATOR_URL" in own
    with override_settings(GRAFANA_OPERATOR_URL="/grafana"):
        embedded = text_of(sam.get(url))
    assert 'data-panel="/grafana/d-solo/gpu-costs/gpu-costs?orgId=1&amp;panelId=11' in embedded
    assert "var-tenant=acme" in embedded
    assert "Set GRAFANA_OPERATOR_URL" not in embedded


@pytest.mark.parametrize("name", ["tenants_tenant_costs", "tenants_tenant_money", "tenants_tenant_queues"])
def test_nobody_else_sees_the_platforms_money(name: str, used: Cast, browse: Browse) -> None:
    for person in ("alice", "mallory"):
        assert browse(person).get(reverse(f"admin:{name}")).status_code in (302, 403)
