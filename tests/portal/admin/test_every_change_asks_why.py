from __future__ import annotations

import pytest
from django.urls import reverse

from tenants.models import AuditEntry, Tier
from tests.tenants.cast import Cast

from .conftest import Browse, form_values, text_of


def test_a_change_without_a_reason_is_not_made(cast: Cast, browse: Browse) -> None:
    olivia = browse("olivia")
    url = reverse("admin:tenants_tenant_change", args=[cast.acme.pk])
    values = form_values(olivia.get(url))
    answer = olivia.post(url, {**values, "name": "Acme Ltd", "audit_reason": "   "})
    assert answer.status_code == 200
    assert "This field is required." in text_of(answer)
    cast.acme.refresh_from_db()
    assert cast.acme.name == "Acme Radiology"


def test_the_trail_names_the_operator_and_the_reason(cast: Cast, browse: Browse) -> None:
    olivia = browse("olivia")
    url = reverse("admin:tenants_tenant_change", args=[cast.acme.pk])
    values = form_values(olivia.get(url))
    assert (
        olivia.post(url, {**values, "name": "Acme Ltd", "audit_reason": "new name in the register"}).status_code == 302
    )
    entry = AuditEntry.objects.filter(table_name="tenants_tenant", operation="UPDATE").get()
    assert entry.actor == "user:olivia"
    assert entry.reason == "new name in the register"
    assert entry.old == {"name": "Acme Radiology"}
    assert entry.new == {"name": "Acme Ltd"}


def test_a_new_tenant_comes_from_the_use_case(cast: Cast, browse: Browse) -> None:
    values = {
        "slug": "umbrella", "name": "Umbrella", "tier": Tier.objects.get(slug="starter").pk, "time_zone": "Asia/Kolkata",
        "currency": "USD", "contact_email": "", "owner": "mallory@GLOBEX.example", "audit_reason": "signed",
    }  # fmt: skip
    assert browse("olivia").post(reverse("admin:tenants_tenant_add"), values).status_code == 302
    entry = AuditEntry.objects.get(table_name="tenants_tenant", operation="INSERT", new__slug="umbrella")
    assert (entry.actor, entry.reason) == ("user:olivia", "signed")
    assert cast.people["mallory"].memberships.get(tenant__slug="umbrella").role == "owner"


@pytest.mark.parametrize("slug", ["platform", "Umbrella", "a_b", "-a", "acme", "../x", "ａcme"])
def test_a_slug_that_cannot_be_is_refused_in_the_form(slug: str, cast: Cast, browse: Browse) -> None:
    values = {
        "slug": slug, "name": "X", "tier": cast.acme.tier_id, "time_zone": "UTC", "currency": "USD", "contact_email": "",
        "owner": "", "audit_reason": "x",
    }  # fmt: skip
    answer = browse("olivia").post(reverse("admin:tenants_tenant_add"), values)
    assert answer.status_code == 200
    assert "slug" in answer.context["adminform"].form.errors


@pytest.mark.parametrize("action", ["suspend", "close"])
def test_an_action_without_a_reason_is_not_done(action: str, cast: Cast, browse: Browse) -> None:
    url = reverse(f"admin:tenants_tenant_{action}", args=[cast.acme.pk])
    answer = browse("olivia").post(url, {"confirmed": "1", "reason": ""})
    assert answer.status_code == 200
    cast.acme.refresh_from_db()
    assert cast.acme.state == "active"
