"""Moving tenants to another tier: which limits change, what the other prices would have made of their months, then one button."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from datetime import datetime

from django import forms
from django.db.models import QuerySet, prefetch_related_objects
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminSelectWidget

from metering.costing import price_dry_runs
from metering.usage import queries
from metering.usage.queries import QuotaStatus
from portal.web.writing import formats
from tenants import audit, provisioning
from tenants.admin.confirm import Confirmation, ReasonOnly
from tenants.admin.wording import amount, limit_name
from tenants.limiting import overrides
from tenants.limiting.prefetching import prefetch_limits
from tenants.limits import EffectiveLimit
from tenants.models import Tenant, TenantState, Tier

MOST_AT_ONCE = 200
ACTION = "change_tier_selected"
TARGET = "to_tier"


class ChooseTier(forms.Form):
    tier = forms.ModelChoiceField(Tier.objects.all(), label=gettext_lazy("New tier"), widget=UnfoldAdminSelectWidget)


def move_page(page: ModelAdmin, request: HttpRequest, queryset: QuerySet[Tenant], back: str = "") -> HttpResponse:
    """First which tier, then what would change and why; both steps carry the chosen tenants along.

    `back` is the tenant's own page, where the question was asked there; the list's action needs none.
    """
    action = "" if back else ACTION
    chosen = list(queryset.exclude(state=TenantState.CLOSED).select_related("tier")[:MOST_AT_ONCE])
    if TARGET in request.POST:
        tier = get_object_or_404(Tier, pk=request.POST[TARGET])
        return _confirm(page, request, chosen, tier, action, back).respond(request)
    return Confirmation(
        page=page,
        title=_("Change tier"),
        text=_("The next page shows what would change for each of them. Nothing happens before you confirm it there."),
        rows=[(str(tenant), str(tenant.tier)) for tenant in chosen],
        form=ChooseTier,
        run=lambda form: _confirm(page, request, chosen, form.cleaned_data["tier"], action, back).ask(request),
        action=action,
        selected=[tenant.pk for tenant in chosen],
        button=_("Show what changes"),
        nothing=_("These tenants are closed."),
        back=back,
    ).respond(request)


def _confirm(
    page: ModelAdmin, request: HttpRequest, chosen: Sequence[Tenant], tier: Tier, action: str, back: str
) -> Confirmation:
    moved = [tenant for tenant in chosen if tenant.tier_id != tier.pk]

    def run(form: forms.Form) -> str:
        for tenant in moved:
            provisioning.change_tier(
                tenant, tier, actor=audit.user_actor(request.user), reason=form.cleaned_data["reason"]
            )
        return _("Moved to %(tier)s. The new limits are in force.") % {"tier": tier}

    return Confirmation(
        page=page,
        title=_("Change tier to %(tier)s") % {"tier": tier},
        text=_(
            "The new tier's limits hold with the next request; overrides stay. Costs are what the other prices would have made of the same "
            "usage; tenants with a book of their own keep it."
        ),
        rows=effects(moved, tier, timezone.now()),
        form=ReasonOnly,
        run=run,
        action=action,
        selected=[tenant.pk for tenant in chosen],
        carry=[(TARGET, str(tier.pk))],
        button=_("Change tier"),
        nothing=_("They are on this tier already."),
        back=back,
    )


def effects(tenants: Sequence[Tenant], tier: Tier, now: datetime) -> list[tuple[str, SafeString]]:
    """For each tenant: every limit that changes, before and after, and both months' cost by its prices and by the tier's."""
    prefetch_limits(tenants)
    prefetch_related_objects([tier], "rate_limits", "quotas")
    used = queries.quota_statuses(tenants, now)
    costs: dict[int, list[str]] = {}
    for each in price_dry_runs.compare_move(tenants, tier, now):
        costs.setdefault(each.tenant.pk, []).append(_cost_words(each))
    return [
        (
            str(tenant),
            _lines(
                [
                    *_limit_words(tenant, tier, now),
                    *_over(tenant, tier, used[tenant.pk], now),
                    *costs.get(tenant.pk, []),
                ]
            ),
        )
        for tenant in tenants
    ]


def _over(tenant: Tenant, tier: Tier, used: Sequence[QuotaStatus], now: datetime) -> list[str]:
    """The quotas that this month's use is at or beyond under the other tier, though not under this one."""
    policy = overrides.effective_policy(_on(tenant, tier), now)
    found = []
    for status in used:
        limit = policy.quota(status.meter).limit
        if limit is not None and status.used >= limit and (status.limit is None or status.used < status.limit):
            words = {"limit": limit_name("quota", status.meter), "used": amount(status.used), "new": amount(limit)}
            found.append(_("Over at once: %(limit)s, %(used)s used of the new %(new)s") % words)
    return found


def _on(tenant: Tenant, tier: Tier) -> Tenant:
    """The tenant as it would be on that tier; nothing is saved."""
    there = copy(tenant)
    there.tier = tier
    return there


def _limit_words(tenant: Tenant, tier: Tier, now: datetime) -> list[str]:
    there = _on(tenant, tier)
    after = {(each.kind, each.name): each for each in overrides.effective_policy(there, now).limits}
    before = {(each.kind, each.name): each for each in overrides.effective_policy(tenant, now).limits}
    return [
        f"{limit_name(*key)}: {_amount(before.get(key))} → {_amount(after.get(key))}"
        for key in {**before, **after}
        if _amount(before.get(key)) != _amount(after.get(key))
    ] or [_("No limit changes.")]


def _amount(limit: EffectiveLimit | None) -> str:
    return amount(limit.limit if limit is not None else None)


def _cost_words(each: price_dry_runs.Difference) -> str:
    words = {
        "month": formats.month(each.month),
        "before": formats.money(each.before, each.currency),
        "after": formats.money(each.after, each.currency),
    }
    if each.before == each.after:
        return _("Cost in %(month)s: %(before)s, unchanged") % words
    return _("Cost in %(month)s: %(before)s → %(after)s") % words


def _lines(lines: Sequence[str]) -> SafeString:
    return format_html("{}", format_html_join("", '<span class="pa-line">{}</span>', ((line,) for line in lines)))
