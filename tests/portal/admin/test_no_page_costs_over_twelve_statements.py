"""Every page of the admin, and every part that a page fetches later, at no more than twelve statements, cold, however many rows there are.

sql_counts.json has the counts, so that a reviewer sees them change; the failing test prints what the file should say. The reader's session,
account and rights are three of each.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from django.contrib import admin
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from metering.models import Budget, BudgetAlert, BudgetThreshold, CollectorStatus, JobRun, Notification
from tenants import provisioning
from tenants.credentials import apikeys
from tenants.limiting import overrides
from tenants.models import Tenant, Tier, User
from tests.tenants.cast import Cast

from .conftest import Browse
from .rows import fill

MOST = 12
SLACK = 2
"""How far below its count in the file a page may be before the file has to be brought up to date."""
FILE = Path(__file__).parent / "sql_counts.json"
OF_ALL = [
    "index", "tenants_tenant_costs", "tenants_tenant_explorer", "tenants_tenant_revenue", "tenants_tenant_money", "tenants_tenant_near",
    "tenants_tenant_queues", "tenants_tenant_import", "metering_meter_usage", "metering_invoice_close", "metering_gpudevice_fleet", "metering_gpudevice_idle",
]  # fmt: skip
OF_A_TENANT = ["cost", "usage", "summary", "gauges", "visit", "new_key", "suspend", "close", "change_tier"]


def test_every_page_costs_what_the_file_says(cast: Cast, browse: Browse) -> None:
    _populate()
    found = {name: _count(browse("root" if name.startswith("auth_") else "olivia"), url) for name, url in _pages(cast)}
    over = {name: "\n".join(statements) for name, statements in found.items() if len(statements) > MOST}
    assert not over, "\n\n".join(f"{name}:\n{statements}" for name, statements in over.items())
    counts = {name: len(statements) for name, statements in found.items()}
    expected: dict[str, int] = json.loads(FILE.read_text())
    grown = {name: count for name, count in counts.items() if count > expected.get(name, 0)}
    shrunk = {name: count for name, count in counts.items() if count < expected.get(name, 0) - SLACK}
    gone = expected.keys() - counts.keys()
    wrong = {"grown": grown, "shrunk": shrunk, "gone": sorted(gone)}
    assert not any(wrong.values()), f"{FILE.name}: {wrong}; all:\n{json.dumps(counts, indent=2)}"


def _populate() -> None:
    """A dozen tenants, each with a person, a key, an override, a budget that has warned, a job, a mail; some rows of everything else."""
    now = timezone.now()
    tier = Tier.objects.get(slug="standard")
    for number in range(12):
        owner = User.objects.create_user(f"owner{number}", f"owner{number}@tenant.example")
        tenant = provisioning.create_tenant(
            slug=f"t{number}", name=f"Tenant {number}", tier=tier, actor="test", owner=owner
        )
        apikeys.create(tenant, name="key", scopes=["decide"], by=None, actor="test", member=tenant.memberships.get())
        overrides.set_limit(tenant, "rate_limit", "minute", 5, reason="r", actor="test")
        budget = Budget.objects.create(tenant=tenant, amount=100)
        BudgetThreshold.objects.create(budget=budget, tenant=tenant, percent=80)
        BudgetAlert.objects.create(budget=budget, tenant=tenant, period_key="2026-07", percent=80, cost=80, amount=100)
        JobRun.objects.create(task="t", tenant=tenant, period="2026-07", lease_until=now)
        Notification.objects.create(
            dedupe_key=str(number), kind="k", tenant=tenant, recipient="a@b.example", subject="s", text="t"
        )
        CollectorStatus.objects.create(name="c", node=str(number), kind="nvml", state="ok", last_run_at=now)
    tenants = list(Tenant.objects.order_by("pk")[:6])
    models = [*admin.site._registry, *admin.site._registry]  # twice: some need rows of others
    empty = {model._meta.label for model in models if not fill(model, tenants)}
    assert not empty - HARD_TO_FILL, empty


HARD_TO_FILL = {
    "django_celery_beat.PeriodicTask", "metering.CreditNote", "metering.GapShare", "metering.GpuAssignment", "metering.Invoice",
    "metering.UnattributedGpuTime",
}  # fmt: skip
"""Models of which no row can be made without their use cases: their lists are counted empty."""


def _pages(cast: Cast) -> Iterator[tuple[str, str]]:
    for name in OF_ALL:
        yield name, reverse(f"admin:{name}")
    for name in OF_A_TENANT:
        yield f"tenants_tenant_{name}", reverse(f"admin:tenants_tenant_{name}", args=[cast.acme.pk])
    ids = ",".join(str(tenant.pk) for tenant in Tenant.objects.all())
    yield "tenants_tenant_columns", f"{reverse('admin:tenants_tenant_columns')}?ids={ids}"
    for model, page in admin.site._registry.items():
        base = f"{model._meta.app_label}_{model._meta.model_name}"
        yield f"{base}_changelist", reverse(f"admin:{base}_changelist")
        row = model._default_manager.first()
        if row is not None:
            yield f"{base}_change", reverse(f"admin:{base}_change", args=[row.pk])
            yield f"{base}_history", reverse(f"admin:{base}_history", args=[row.pk])
        request = _as_olivia(cast)
        if page.has_add_permission(request):
            yield f"{base}_add", reverse(f"admin:{base}_add")


def _as_olivia(cast: Cast):  # type: ignore[no-untyped-def]  # a request, only for its user
    from django.test import RequestFactory

    request = RequestFactory().get("/admin/")
    request.user = cast.people["olivia"]
    return request


def _count(client: Client, url: str) -> list[str]:
    """The statements of a page that nobody has looked at lately."""
    client.get(url)  # content types, the session's first touch, what pages store on first use
    cache.clear()
    with CaptureQueriesContext(connection) as statements:
        answer = client.get(url)
    assert answer.status_code == 200, url
    return [query["sql"][:200] for query in statements.captured_queries]
