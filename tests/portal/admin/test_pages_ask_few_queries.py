"""A list or a tenant's page costs the same number of queries however many rows there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from metering.models import Budget, BudgetAlert, BudgetThreshold, CollectorStatus, JobRun, Notification
from tenants import apikeys, overrides, provisioning
from tenants.models import Tenant, Tier, User
from tests.tenants.cast import Cast

from .conftest import Browse

MOST = 15
MOST_FOR_MONEY = 21
"""Of parts that are fetched after their page and kept for some seconds; four queries are the reader's."""
MOST_OF_THE_DASHBOARD = 12
LISTS = [
    "tenants_tenant", "tenants_tier", "tenants_override", "tenants_apikey", "tenants_membership", "tenants_auditentry",
    "tenants_user", "metering_budget", "metering_budgetalert", "metering_jobrun", "metering_notification",
    "metering_collectorstatus",
]  # fmt: skip


@pytest.fixture
def many(cast: Cast) -> Cast:
    """A dozen tenants, each with a person, a key, an override, a budget that has warned, a job, a mail."""
    now = timezone.now()
    tier = Tier.objects.get(slug="standard")
    for number in range(12):
        owner = User.objects.create_user(f"owner{number}", f"owner{number}@tenant.example")
        tenant = provisioning.create_tenant(
            slug=f"t{number}", name=f"Tenant {number}", tier=tier, actor="test", owner=owner
        )
        member = tenant.memberships.get()
        apikeys.create(tenant, name="key", scopes=["decide"], by=None, actor="test", member=member)
        overrides.set_limit(tenant, "rate_limit", "minute", 5, reason="r", actor="test")
        budget = Budget.objects.create(tenant=tenant, amount=100)
        BudgetThreshold.objects.create(budget=budget, tenant=tenant, percent=80)
        BudgetAlert.objects.create(budget=budget, tenant=tenant, period_key="2026-07", percent=80, cost=80, amount=100)
        JobRun.objects.create(task="t", tenant=tenant, period="2026-07", lease_until=now)
        Notification.objects.create(
            dedupe_key=str(number), kind="k", tenant=tenant, recipient="a@b.example", subject="s", text="t"
        )
        CollectorStatus.objects.create(name="c", node=str(number), kind="nvml", state="ok", last_run_at=now)
    return cast


@pytest.fixture
def count(browse: Browse) -> Callable[[str], int]:
    """Queries of a page for an operator, the session's and the rights' included."""
    olivia = browse("olivia")

    def of(url: str) -> int:
        olivia.get(url)  # content types and the session's first touch
        with CaptureQueriesContext(connection) as queries:
            assert olivia.get(url).status_code == 200
        return len(queries)

    return of


@pytest.mark.parametrize("name", LISTS)
def test_lists(name: str, many: Cast, count: Any) -> None:
    assert count(reverse(f"admin:{name}_changelist")) <= MOST


def test_a_tenants_page(many: Cast, count: Any) -> None:
    for number in range(20):
        apikeys.create(many.acme, name=f"key {number}", scopes=["decide"], by=None, actor="test")
    assert count(reverse("admin:tenants_tenant_change", args=[many.acme.pk])) <= MOST


def test_a_tiers_page(many: Cast, count: Any) -> None:
    assert count(reverse("admin:tenants_tier_change", args=[many.acme.tier_id])) <= MOST


def test_usage(many: Cast, count: Any) -> None:
    assert count(reverse("admin:metering_meter_usage")) <= MOST


@pytest.mark.parametrize("name", ["index", "tenants_tenant_queues"])
def test_the_dashboard(name: str, many: Cast, count: Any) -> None:
    assert count(reverse(f"admin:{name}")) <= MOST_OF_THE_DASHBOARD


def test_the_dashboards_money_is_kept(many: Cast, count: Any) -> None:
    assert count(reverse("admin:tenants_tenant_money")) <= MOST_OF_THE_DASHBOARD


@pytest.mark.parametrize("name", ["tenants_tenant_cost", "tenants_tenant_summary", "tenants_tenant_usage"])
def test_a_tenants_costs(name: str, many: Cast, count: Any) -> None:
    assert count(reverse(f"admin:{name}", args=[many.acme.pk])) <= MOST_FOR_MONEY


@pytest.mark.parametrize("name", ["tenants_tenant_money", "tenants_tenant_costs", "tenants_tenant_columns"])
def test_everybodys_costs(name: str, many: Cast, count: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portal.admin.dashboard.KEEP_SECONDS", 0)
    ids = ",".join(str(tenant.pk) for tenant in Tenant.objects.all())
    assert count(f"{reverse(f'admin:{name}')}?ids={ids}") <= MOST_FOR_MONEY
