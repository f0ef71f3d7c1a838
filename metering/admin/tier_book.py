"""A tier pays by another book from an instant on: first what that would do to its tenants' bills, then the button."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from itertools import chain, islice

from django import forms
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminSplitDateTimeWidget, UnfoldBooleanWidget

from metering.costing import price_dry_runs
from metering.costing.price_dry_runs import Difference
from metering.models import PriceBook
from metering.money import Money
from metering.prices import price_books
from tenants import audit
from tenants.admin.confirm import Confirmation, ReasonOnly
from tenants.models import Tier

MOST_TENANTS = 2000
"""So many are rated while the operator waits."""
SHOWN = 20
SEEN = "seen"
FIELDS = ("tier", "starts_at_0", "starts_at_1", "force", "reason")


class AssignTier(ReasonOnly):
    """Which tier, from when on, and why."""

    tier = forms.ModelChoiceField(Tier.objects.all(), label=gettext_lazy("Tier"), widget=UnfoldAdminSelectWidget)
    starts_at = forms.SplitDateTimeField(
        label=gettext_lazy("Starts"),
        widget=UnfoldAdminSplitDateTimeWidget,
        help_text=gettext_lazy("UTC, on a full hour. What the tier's tenants used before keeps its price."),
    )
    force = forms.BooleanField(
        label=gettext_lazy("Start in the past: bills of open periods change, and invoiced ones are adjusted"),
        required=False,
        widget=UnfoldBooleanWidget,
    )
    field_order = ("tier", "starts_at", "force", "reason")


def assign_tier_page(request: HttpRequest, page: ModelAdmin, book: PriceBook) -> HttpResponse:
    """…/pricebook/<id>/assign_tier/: asks, shows the dry run of what was asked for, and assigns once that has been looked at."""
    now = timezone.now()

    def run(form: forms.Form) -> str | HttpResponse:
        values = form.cleaned_data
        with transaction.atomic():
            price_books.assign_tier(
                values["tier"],
                book,
                values["starts_at"],
                now,
                reason=values["reason"],
                actor=audit.user_actor(request.user),
                force=values["force"],
            )
            if request.POST.get(SEEN) == _mark(form):
                return _("%(tier)s pays by %(book)s from %(start)s on.") % {
                    "tier": values["tier"],
                    "book": book,
                    "start": f"{values['starts_at']:%Y-%m-%d %H:%M} UTC",
                }
            transaction.set_rollback(True)  # it could be assigned; first its effect is looked at
        asked = {name: request.POST[name] for name in FIELDS if name in request.POST}
        return HttpResponseRedirect(f"{request.path}?{urlencode(asked)}")

    asked = AssignTier(request.GET)
    looked = request.method == "GET" and asked.is_valid()
    values = asked.cleaned_data if looked else {}
    return Confirmation(
        page=page,
        title=_("Have a tier pay by %(book)s") % {"book": book},
        text=_("What it would do to the bills of last month and this month. Nothing has changed yet.")
        if looked
        else _("Next you see what it does to bills; nothing changes before that."),
        rows=_dry_run(values["tier"], book, values["starts_at"], now) if looked else [],
        form=AssignTier,
        initial=values,
        run=run,
        button=_("Assign it") if looked else _("Look at what it does"),
        back=reverse("admin:metering_pricebook_change", args=[book.pk]),
        carry=[(SEEN, _mark(asked))] if looked else [],
    ).respond(request)


def _mark(form: forms.Form) -> str:
    """Names what was looked at: another tier or start has to be looked at again."""
    return f"{form.cleaned_data['tier'].pk} {form.cleaned_data['starts_at'].isoformat()}"


def _dry_run(tier: Tier, book: PriceBook, starts_at: datetime, now: datetime) -> list[tuple[str, str]]:
    """The sum of both months, and the tenants whose bills change most."""
    found = price_dry_runs.compare_tier(tier, book, starts_at, now)
    differences = list(islice(chain.from_iterable(found), 2 * MOST_TENANTS))
    rows = changes_in_words(differences)
    if len({each.tenant.pk for each in differences}) == MOST_TENANTS:
        rows.append(
            (_("Not all"), _("Only the first %(count)d tenants of the tier were rated.") % {"count": MOST_TENANTS})
        )
    return rows or [(_("Nobody"), _("No tenant was on this tier."))]


def changes_in_words(differences: Sequence[Difference]) -> list[tuple[str, str]]:
    """The sums of the months, and the bills that change most."""
    sums: dict[tuple[str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for each in differences:
        both = sums[each.month, each.currency]
        both[0], both[1] = both[0] + each.before, both[1] + each.after
    tenants = len({each.tenant.pk for each in differences})
    rows = [
        (_("%(count)d tenants, %(month)s") % {"count": tenants, "month": month}, _change(before, after, currency))
        for (month, currency), (before, after) in sorted(sums.items())
    ]
    changed = sorted((each for each in differences if each.change or each.held), key=lambda each: -abs(each.change))
    rows += [(f"{each.tenant.slug}, {each.month}", _words(each)) for each in changed[:SHOWN]]
    if len(changed) > SHOWN:
        rows.append((_("and more"), _("%(count)d further bills change by less") % {"count": len(changed) - SHOWN}))
    return rows


def _words(each: Difference) -> str:
    held = _("; without a price: %(names)s") % {"names": each.held} if each.held else ""
    return _change(each.before, each.after, each.currency) + held


def _change(before: Decimal, after: Decimal, currency: str) -> str:
    change = Money(after, currency) - Money(before, currency)
    sign = "+" if change.amount > 0 else ""
    return f"{Money(before, currency)} → {Money(after, currency)} ({sign}{change})"
