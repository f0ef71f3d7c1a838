"""From the operator's browser to the next decision, on real PostgreSQL and Redis, with real commits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.embedded import RedisServer
from tenants.credentials import apikeys
from tenants.enforcement import engine
from tenants.enforcement.counting import ledger
from tenants.enforcement.counting.counts import ProcessCounts
from tenants.enforcement.deciding.blocking import Enforcer
from tenants.enforcement.publishing import building
from tenants.enforcement.publishing.verifying import verify
from tenants.models import AuditEntry, Membership, Override, Tenant, Tier
from tests.tenants.cast import make_cast
from tests.tenants.enforcement.stage import MemoryLedger

from .conftest import BACKEND, form_values

pytestmark = pytest.mark.django_db(transaction=True)


class Stage:
    """An operator's browser, and a process that decides calls of acme."""

    def __init__(self) -> None:
        cast = make_cast()
        self.acme: Tenant = cast.acme
        self.browser = Client()
        self.browser.force_login(cast.people["olivia"], backend=BACKEND)
        self.key = apikeys.create(cast.acme, name="gateway", scopes=["decide"], by=None, actor="test").text.encode()
        counts = ProcessCounts()
        config = replace(engine.config(), timeout=2.0)
        self.enforcer = Enforcer(config, counts, building.TenantBuilder(counts), verify=verify)

    def limit_a_minute(self) -> int | None:
        """What the next decision says the user's window of a minute is; None when it is unlimited."""
        decision = self.enforcer.consume(self.key)
        return next((window.limit for window in decision.windows if window.name == "minute"), None)

    def code(self) -> str:
        """The next decision's problem code, '' when it is granted."""
        return self.enforcer.consume(self.key).code

    def post(self, url: str, values: dict[str, Any]) -> None:
        answer = self.browser.post(url, values)
        assert answer.status_code == 302, answer.context and [
            answer.context["adminform"].form.errors,
            [formset.formset.errors for formset in answer.context["inline_admin_formsets"]],
        ]


@pytest.fixture
def stage(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr(ledger, "_registered", MemoryLedger())
    return Stage()


def test_an_edited_tier(stage: Stage) -> None:
    assert stage.limit_a_minute() == 60
    url = reverse("admin:tenants_tier_change", args=[stage.acme.tier_id])
    values = form_values(stage.browser.get(url))
    row = next(name for name, value in values.items() if value == "minute").removesuffix("-window")
    stage.post(url, {**values, f"{row}-limit": "7", "audit_reason": "black Friday"})
    assert stage.limit_a_minute() == 7
    entry = AuditEntry.objects.get(table_name="tenants_tierratelimit", operation="UPDATE")
    assert (entry.actor, entry.reason, entry.new) == ("user:olivia", "black Friday", {"limit": 7})


def test_an_override_set_on_the_tenants_page(stage: Stage) -> None:
    url = reverse("admin:tenants_tenant_change", args=[stage.acme.pk])
    values = form_values(stage.browser.get(url))
    start = timezone.now()
    row = {
        "overrides-TOTAL_FORMS": "1",
        "overrides-0-which": "rate_limit:minute",
        "overrides-0-limit": "5",
        "overrides-0-valid_from_0": f"{start:%Y-%m-%d}",
        "overrides-0-valid_from_1": f"{start:%H:%M:%S}",
        "overrides-0-reason": "load test",
    }
    stage.post(url, {**values, **row, "audit_reason": "asked by phone"})
    assert stage.limit_a_minute() == 5
    override = Override.objects.get()
    assert (override.created_by.username, override.reason) == ("olivia", "load test")  # type: ignore[union-attr]


def test_a_revoked_override(stage: Stage) -> None:
    test_an_override_set_on_the_tenants_page(stage)
    url = reverse("admin:tenants_override_revoke", args=[Override.objects.get().pk])
    stage.post(url, {"confirmed": "1", "reason": "test is over"})
    assert stage.limit_a_minute() == 60


def test_a_changed_tier(stage: Stage) -> None:
    url = reverse("admin:tenants_tenant_changelist")
    scale = Tier.objects.get(slug="scale")
    values = {"action": "change_tier_selected", "_selected_action": [stage.acme.pk], "confirmed": "1"}
    stage.post(url, {**values, "to_tier": scale.pk, "reason": "contract signed"})
    assert stage.limit_a_minute() == 600


def test_a_suspended_and_resumed_tenant(stage: Stage) -> None:
    assert stage.code() == ""
    stage.post(reverse("admin:tenants_tenant_suspend", args=[stage.acme.pk]), {"confirmed": "1", "reason": "unpaid"})
    assert stage.code() == "tenant_suspended"
    stage.post(reverse("admin:tenants_tenant_resume", args=[stage.acme.pk]), {"confirmed": "1", "reason": "paid"})
    assert stage.code() == ""


def test_an_account_that_is_switched_off(stage: Stage) -> None:
    bob = Membership.objects.get(user__username="bob")
    stage.key = apikeys.create(stage.acme, name="x", scopes=["decide"], by=None, member=bob, actor="test").text.encode()
    assert stage.code() == ""
    url = reverse("admin:tenants_user_change", args=[bob.user_id])
    values = {"username": "bob", "email": "bob@acme.example", "first_name": "", "last_name": ""}
    stage.post(url, values)
    assert stage.code() == "invalid_key"
    stage.post(url, {**values, "is_active": "on"})
    assert stage.code() == ""


def test_a_revoked_key(stage: Stage) -> None:
    key = stage.acme.api_keys.get()
    stage.post(reverse("admin:tenants_apikey_revoke", args=[key.pk]), {"confirmed": "1", "reason": "leaked"})
    assert stage.code() == "invalid_key"
