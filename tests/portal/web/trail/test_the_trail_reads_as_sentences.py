from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.apps import apps
from django.test import Client
from django.utils import timezone

from metering.models import Budget, WebhookEndpoint
from metering.reservations import ending, granting
from portal.web.trail.sentences import TABLES
from tenants import audit, provisioning
from tenants.credentials import apikeys
from tenants.limiting import overrides, quota_requests
from tenants.people import memberships
from tests.portal.web.conftest import Cast, text_of


@pytest.fixture
def lines(cast: Cast, browse: Callable[[str], Client]) -> Callable[[], str]:
    """The page's text without markup, on one line."""
    import re

    def read() -> str:
        body = text_of(browse("alice").get("/t/acme/activity"))
        main = body[body.index("<main") : body.index("</main>")]
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", main).replace("&quot;", '"').replace("&#x27;", "'"))

    return read


def test_members(cast: Cast, lines: Callable[[], str]) -> None:
    alice, victor = cast.membership("alice"), cast.membership("victor")
    memberships.change_role(victor, "member", by=alice, actor="user:alice", reason="Joins the lab")
    memberships.remove(victor, by=alice, actor="user:alice")
    text = lines()
    assert "alice changed the role of victor Role: Viewer → Member “Joins the lab”" in text
    assert "alice removed victor" in text


def test_keys(cast: Cast, lines: Callable[[], str]) -> None:
    bob = cast.membership("bob")
    issued = apikeys.create(cast.acme, name="Notebook", scopes=["decide"], by=bob, member=bob, actor="user:bob")
    apikeys.revoke(issued.key, by=bob, actor="user:bob")
    text = lines()
    assert "bob created the API key “Notebook” Scopes: Ask for decisions" in text
    assert "bob revoked the API key “Notebook”" in text
    assert issued.text.split("_", 4)[4] not in text


def test_limits_and_plans_say_who_of_the_platform(cast: Cast, lines: Callable[[], str]) -> None:
    until = timezone.now() + timedelta(days=3)
    overrides.set_limit(
        cast.acme,
        "quota",
        "gpu_hours",
        Decimal(150),
        reason="Paper deadline",
        actor="operator:olivia",
        valid_until=until,
    )
    token = "token:k5jq2v7ma3xw4rnd (olivia)"
    overrides.set_limit(cast.acme, "rate_limit", "minute", None, reason="Migration", actor=token)
    provisioning.suspend(cast.acme, actor="operator:olivia", reason="Unpaid")
    text = lines()
    assert "olivia Platform staff set a limit of this tenant’s own for GPU hours Limit: 150" in text
    assert "olivia Operator token set a limit of this tenant’s own for calls per minute Limit: unlimited" in text
    assert "olivia Platform staff suspended the tenant" in text


def test_ids_of_credentials_are_nobodys_name(cast: Cast, lines: Callable[[], str]) -> None:
    key = apikeys.create(cast.acme, name="Terraform", scopes=["budget:write"], by=None, actor="user:alice").key
    for name, actor in enumerate((f"key:{key.key_id}", "key:aaaaaaaabbbbbbbb", "operator-token:k5jq2v7ma3xw4rnd")):
        with audit.acting(actor):
            Budget.objects.create(tenant=cast.acme, name=f"No. {name}", amount=Decimal(1), is_primary=False)
    text = lines()
    assert "Terraform API key set the budget “No. 0”" in text
    assert "An old key API key set the budget “No. 1”" in text
    assert "Platform staff Operator token set the budget “No. 2”" in text
    assert key.key_id not in text
    assert "k5jq2v7ma3xw4rnd" not in text


def test_budgets(cast: Cast, lines: Callable[[], str]) -> None:
    with audit.acting("user:carol"):
        budget = Budget.objects.create(tenant=cast.acme, name="Monthly budget", amount=Decimal(5000))
    with audit.acting("user:carol"):
        budget.amount = Decimal(7500)
        budget.save()
    text = lines()
    assert "carol set the budget “Monthly budget” Amount: $5,000.00" in text
    assert "carol changed the budget “Monthly budget” Amount: $5,000.00 → $7,500.00" in text


def test_another_tenants_changes_are_not_listed(cast: Cast, lines: Callable[[], str]) -> None:
    provisioning.suspend(cast.globex, actor="operator:olivia", reason="Something of globex")
    assert "Something of globex" not in lines()


def test_a_reason_cannot_bring_markup(cast: Cast, browse: Callable[[str], Client]) -> None:
    overrides.set_limit(cast.acme, "quota", "gpu_hours", 1, reason="<script>alert(1)</script>", actor="operator:<b>x")
    body = text_of(browse("alice").get("/t/acme/activity"))
    assert "<script>alert(1)" not in body
    assert "<b>x" not in body


def test_reservations(cast: Cast, lines: Callable[[], str]) -> None:
    now = timezone.now()
    wish = granting.Wish(2, "H100", Decimal("0.5"), 5400, {"project": "mammo"})
    held = granting.reserve(cast.acme, wish, id=uuid4(), actor="user:bob", now=now).reservation
    granting.extend(cast.acme, held.public_id, 7200, actor="user:bob", now=now)
    ending.settle(cast.acme, held.public_id, None, actor="user:bob", now=now)
    text = lines()
    assert "bob reserved 2 × H100" in text
    assert "Part of each GPU: 50% Expected to take: 1.5 hours" in text
    assert (
        "bob extended the reservation of 2 × H100 Expected to take: 1.5 hours → 2 hours Estimate: $3.75 → $5.00" in text
    )
    assert "bob gave back 2 × H100: the job has ended" in text
    assert "expected seconds" not in text


def test_a_request_names_the_window_and_its_reason_stands_once(cast: Cast, lines: Callable[[], str]) -> None:
    now = timezone.now()
    wish = quota_requests.Wish("rate_limit", "hour", Decimal(1500), "Conference")
    row = quota_requests.request(
        cast.acme, wish, by=cast.membership("bob"), actor="user:bob", user=cast.people["bob"], now=now
    )
    quota_requests.deny(
        cast.acme, row.public_id, reason="Full until May", actor="user:olivia", decided_by=None, now=now
    )
    text = lines()
    assert "bob asked for more calls per hour" in text
    assert "olivia Platform staff denied a request for more" in text  # by the admin, where she is a user like any other
    assert text.count("Full until May") == 1


def test_webhooks(cast: Cast, lines: Callable[[], str]) -> None:
    with audit.acting("user:alice", "new receiver"):
        hook = WebhookEndpoint.objects.create(tenant=cast.acme, url="https://hooks.example/a", secret="s")
        hook.secret = "t"
        hook.save()
        hook.is_active = False
        hook.save()
    text = lines()
    assert "alice added the webhook https://hooks.example/a" in text
    assert "alice rotated the signing secret of the webhook https://hooks.example/a" in text
    assert "alice changed the webhook https://hooks.example/a Active: yes → no" in text


def test_every_audited_table_of_a_tenant_has_words() -> None:
    audited = {
        model._meta.db_table
        for model in apps.get_models()
        if any(field.name == "tenant" for field in model._meta.get_fields())
        and any("audit" in trigger.name for trigger in getattr(model._meta, "triggers", ()))
    }
    assert len(audited) > 10
    assert audited <= TABLES.keys()
