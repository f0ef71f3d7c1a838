"""Gaps as operators decide upon them: each tenant's part in a gap, what is done about it, and the decision where the meter asks."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import (
    AllValuesCheckboxFilter,
    AutocompleteSelectFilter,
    RadioFilter,
    RangeDateTimeFilter,
)
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminSelectWidget

from metering.models import GapDecision, GapPolicy, GapShare
from metering.usage import gap_shares
from tenants import audit
from tenants.admin.base import LookOnly, ReadOnlyAdmin
from tenants.admin.confirm import Confirmation, ReasonOnly
from tenants.admin.wording import badge, meter_name

from .reading import ReadOnceMixin


class Decide(ReasonOnly):
    """What is billed for one tenant's part in a gap."""

    decision = forms.ChoiceField(label=_("Decision"), choices=GapDecision.choices, widget=UnfoldAdminSelectWidget)
    amount = forms.DecimalField(
        label=_("Quantity"),
        required=False,
        min_value=Decimal(0),
        max_digits=16,
        decimal_places=6,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text=_("Only for “Bill this quantity”: hours, calls, or the GB that were stored during the gap."),
    )
    field_order = ("decision", "amount", "reason")


class DecideAlike(ReasonOnly):
    """The same for several gaps; a quantity is each gap's own."""

    decision = forms.ChoiceField(
        label=_("Decision"),
        choices=[each for each in GapDecision.choices if each[0] != GapDecision.AMOUNT],
        widget=UnfoldAdminSelectWidget,
    )
    field_order = ("decision", "reason")


class WaitingFilter(RadioFilter):
    """Gaps that wait for a decision."""

    title = _("decision")
    parameter_name = "waits"
    all_option = None

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("", _("All")), ("yes", _("Waiting")), ("decided", _("Decided"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "yes":
                return queryset.filter(policy=GapPolicy.ASK, decision="")
            case "decided":
                return queryset.exclude(decision="")
        return queryset


class GapShareAdmin(ReadOnceMixin, ReadOnlyAdmin):
    list_display = ("starts_at", "length", "tenant", "meter_words", "collector", "done", "billed", "state_mark")
    list_filter = (
        WaitingFilter,
        ("tenant", AutocompleteSelectFilter),
        ("meter", AllValuesCheckboxFilter),
        ("policy", AllValuesCheckboxFilter),
        ("starts_at", RangeDateTimeFilter),
    )
    search_fields = ("tenant__slug", "tenant__name", "gap__collector", "gap__node", "meter")
    list_select_related = ("tenant", "gap")
    fields = (
        ("tenant", "state_mark"),
        ("meter_words", "length"),
        ("starts_at", "ends_at"),
        ("collector", "node"),
        "gap_reason",
        "last_known",
        ("policy", "cap_seconds"),
        ("done", "billed"),
        ("decided_by", "changed_at"),
        "reason",
    )
    actions = ("decide_selected",)
    actions_detail = ("decide",)

    def has_decide_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super(LookOnly, self).has_change_permission(request)

    @action(description=_("Decide"), icon="gavel", permissions=["decide"])
    def decide(self, request: HttpRequest, object_id: int) -> HttpResponse:
        share = GapShare.objects.select_related("gap", "tenant").get(pk=object_id)

        def run(form: forms.Form) -> str:
            values = form.cleaned_data
            decided = gap_shares.decide(
                share,
                values["decision"],
                amount=values["amount"],
                reason=values["reason"],
                actor=audit.user_actor(request.user),
                now=timezone.now(),
            )
            return gap_shares.in_words(decided)

        return Confirmation(
            page=self,
            title=_("What is billed for this gap?"),
            text=_("While its month is open this changes the bill; after the invoice, the next one has an adjustment."),
            rows=_facts(share),
            form=Decide,
            run=run,
            button=_("Decide"),
            initial={"decision": share.decision or GapDecision.NONE, "amount": share.amount},
            back=reverse("admin:metering_gapshare_change", args=[object_id]),
        ).respond(request)

    @admin.action(description=_("Decide"), permissions=["decide"])
    def decide_selected(self, request: HttpRequest, queryset: QuerySet[GapShare]) -> HttpResponse:
        chosen = list(queryset.select_related("gap", "tenant"))

        def run(form: forms.Form) -> str:
            values, now = form.cleaned_data, timezone.now()
            decided = 0
            for share in chosen:
                if values["decision"] == GapDecision.LAST and not share.last:
                    continue
                gap_shares.decide(
                    share, values["decision"], amount=None, reason=values["reason"], actor=audit.user_actor(request.user), now=now
                )  # fmt: skip
                decided += 1
            return str(_("%(decided)d of %(all)d decided.") % {"decided": decided, "all": len(chosen)})

        return Confirmation(
            page=self,
            title=_("What is billed for these gaps?"),
            text=_("A gap before which nothing was in use has no last value, and is left as it is."),
            rows=[(f"{share.tenant}, {share.starts_at:%Y-%m-%d %H:%M} UTC", _use(share)) for share in chosen],
            form=DecideAlike,
            run=run,
            action="decide_selected",
            selected=[share.pk for share in chosen],
        ).respond(request)

    @display(description=_("Length"))
    def length(self, share: GapShare) -> str:
        return timesince(share.starts_at, share.ends_at)

    @display(description=_("Meter"), ordering="meter")
    def meter_words(self, share: GapShare) -> str:
        return meter_name(share.meter)

    @display(description=_("Collector"), ordering="gap__collector")
    def collector(self, share: GapShare) -> str:
        return share.gap.collector

    @display(description=_("Node"))
    def node(self, share: GapShare) -> str:
        return share.gap.node

    @display(description=_("Why nothing was known"))
    def gap_reason(self, share: GapShare) -> str:
        return share.gap.reason

    @display(description=_("In use before it"))
    def last_known(self, share: GapShare) -> str:
        return _use(share)

    @display(description=_("What is done"))
    def done(self, share: GapShare) -> str:
        return gap_shares.in_words(share)

    @display(description=_("Billed"))
    def billed(self, share: GapShare) -> str:
        note = gap_shares.note_of(share)
        return f"{note.billed} {note.unit}" if note.billed else "–"

    @display(description=_("State"))
    def state_mark(self, share: GapShare) -> str:
        if share.waits:
            return badge(_("Waits"), "warn")
        return badge(_("Decided"), "info") if share.decision else badge(_("By policy"))


def _use(share: GapShare) -> str:
    """'2 hour, H100 · 0.5 hour, A100': what would be billed an hour."""
    return " · ".join(gap_shares.last_in_words(share)) or str(_("nothing"))


def _facts(share: GapShare) -> list[tuple[str, str]]:
    return [
        (str(_("Tenant")), str(share.tenant)),
        (str(_("Meter")), meter_name(share.meter)),
        (str(_("Gap")), f"{share.starts_at:%Y-%m-%d %H:%M} – {share.ends_at:%Y-%m-%d %H:%M} UTC ({timesince(share.starts_at, share.ends_at)})"),
        (str(_("Collector")), f"{share.gap.collector} ({share.gap.node}): {share.gap.reason}"),
        (str(_("In use before it")), _use(share)),
        (str(_("Last value at most for")), f"{share.cap_seconds / 3600:g} h"),
        (str(_("Now")), gap_shares.in_words(share)),
    ]  # fmt: skip


admin.site.register(GapShare, GapShareAdmin)
