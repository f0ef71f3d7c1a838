from __future__ import annotations

from typing import Any

from django.urls import reverse

from tenants.limiting import overrides
from tenants.models import AuditEntry, Tenant, Tier, TierQuota
from tests.tenants.cast import Cast

from .conftest import Browse, text_of


def act(browse: Browse, cast: Cast, **values: Any) -> Any:
    rows = {"action": "change_tier_selected", "_selected_action": [cast.acme.pk, cast.globex.pk]}
    return browse("olivia").post(reverse("admin:tenants_tenant_changelist"), {**rows, **values})


def test_the_preview_names_limits_and_costs_and_changes_nothing(cast: Cast, browse: Browse) -> None:
    scale = Tier.objects.get(slug="scale")
    page = text_of(act(browse, cast, confirmed="1", tier=scale.pk))
    assert "Acme Radiology" in page
    assert "API calls a month: 1,000,000 →" in page
    assert "Cost in" in page
    assert set(Tenant.objects.values_list("tier__slug", flat=True)) == {"standard"}


def test_an_override_that_stays_is_no_change(cast: Cast, browse: Browse) -> None:
    for tenant in (cast.acme, cast.globex):
        overrides.set_limit(tenant, "quota", "api_calls", 5, reason="r", actor="test")
    page = text_of(act(browse, cast, confirmed="1", tier=Tier.objects.get(slug="scale").pk))
    assert "API calls a month" not in page
    assert "GPU hours a month: 100 →" in page


def test_the_second_page_makes_it_with_the_reason(cast: Cast, browse: Browse) -> None:
    scale = Tier.objects.get(slug="scale")
    act(browse, cast, confirmed="1", to_tier=scale.pk, reason="grown")
    assert set(Tenant.objects.values_list("tier__slug", flat=True)) == {"scale"}
    entries = AuditEntry.objects.filter(table_name="tenants_tenant", operation="UPDATE")
    assert set(entries.values_list("actor", "reason")) == {("user:olivia", "grown")}


def test_without_a_reason_nothing_moves(cast: Cast, browse: Browse) -> None:
    act(browse, cast, confirmed="1", to_tier=Tier.objects.get(slug="scale").pk, reason="")
    assert set(Tenant.objects.values_list("tier__slug", flat=True)) == {"standard"}


def test_the_tenants_own_page_asks_the_same_and_leads_back(cast: Cast, browse: Browse) -> None:
    olivia, scale = browse("olivia"), Tier.objects.get(slug="scale")
    form = reverse("admin:tenants_tenant_change", args=[cast.acme.pk])
    assert "tier" not in olivia.get(form).context["adminform"].form.fields
    url = reverse("admin:tenants_tenant_change_tier", args=[cast.acme.pk])
    page = text_of(olivia.post(url, {"confirmed": "1", "tier": scale.pk}))
    assert "API calls a month: 1,000,000 →" in page
    assert "Cost in" in page
    answer = olivia.post(url, {"confirmed": "1", "to_tier": scale.pk, "reason": "grown"})
    assert (answer.status_code, answer.url) == (302, form)
    cast.acme.refresh_from_db()
    assert (cast.acme.tier, cast.globex.tier.slug) == (scale, "standard")


def test_whoever_would_be_over_a_limit_at_once_is_named(cast: Cast, browse: Browse) -> None:
    small = Tier.objects.create(slug="tiny", name="Tiny", position=99)
    TierQuota.objects.create(tier=small, meter="gpu_hours", limit=0)
    assert "Over at once: GPU hours a month, 0 used of the new 0" in text_of(
        act(browse, cast, confirmed="1", tier=small.pk)
    )
