from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.urls import reverse
from django.utils import timezone

from metering.models import JobRun, Notification
from tenants.credentials import apikeys
from tenants.limiting import overrides
from tenants.models import AuditEntry
from tests.tenants.cast import Cast

from .conftest import Browse, text_of

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
OF_THE_PLATFORM = {"tenants.OperatorToken", "auth.Group"}


def url(model: Any, page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


@pytest.fixture
def rows(cast: Cast) -> Cast:
    """Something to look at."""
    apikeys.create(cast.acme, name="gateway", scopes=["decide"], by=None, actor="test")
    overrides.set_limit(cast.acme, "quota", "gpu_hours", 10, reason="trial", actor="test")
    JobRun.objects.create(task="close month", period="2026-07", lease_until=timezone.now())
    Notification.objects.create(dedupe_key="k", kind="budget", recipient="a@acme.example", subject="s", text="t")
    return cast


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_lists_are_open_and_forms_are_not(model: Any, rows: Cast, browse: Browse) -> None:
    sam = browse("sam")
    assert sam.get(url(model, "changelist")).status_code == (403 if model._meta.label in OF_THE_PLATFORM else 200)
    assert sam.get(url(model, "add")).status_code == 403
    assert sam.post(url(model, "add"), {"name": "x"}).status_code == 403


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_a_row_is_shown_without_a_way_to_save_it(model: Any, rows: Cast, browse: Browse) -> None:
    row = model._default_manager.first()
    if row is None or model._meta.label in OF_THE_PLATFORM:
        return
    sam = browse("sam")
    page = sam.get(url(model, "change", row.pk))
    assert page.status_code == 200
    assert 'name="_save"' not in text_of(page)
    before = AuditEntry.objects.count()
    assert sam.post(url(model, "change", row.pk), {"name": "x", "audit_reason": "y"}).status_code == 403
    assert AuditEntry.objects.count() == before


@pytest.mark.parametrize("action", ["suspend", "resume", "close", "new_key"])
def test_no_action_of_a_tenant(action: str, rows: Cast, browse: Browse) -> None:
    address = reverse(f"admin:tenants_tenant_{action}", args=[rows.acme.pk])
    assert browse("sam").post(address, {"confirmed": "1", "reason": "x"}).status_code == 403
    rows.acme.refresh_from_db()
    assert rows.acme.state == "active"


def test_no_bulk_action(rows: Cast, browse: Browse) -> None:
    values = {"action": "suspend_selected", "_selected_action": [rows.acme.pk], "confirmed": "1", "reason": "x"}
    browse("sam").post(reverse("admin:tenants_tenant_changelist"), values)
    rows.acme.refresh_from_db()
    assert rows.acme.state == "active"
