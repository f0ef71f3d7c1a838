"""Usage that nobody can bill yet, and its release into the ledger once there is a meter or a price."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter, RadioFilter
from unfold.decorators import display

from metering import memo
from metering.alerts import unknown_usage
from metering.ledger.quarantine import UNKNOWN
from metering.models import QuarantinedEvent, UnknownKind, UnknownUsage
from tenants import audit
from tenants.admin.base import LookOnly, ReadOnlyAdmin
from tenants.admin.confirm import Confirmation, ReasonOnly
from tenants.admin.wording import badge

MOST_ROWS = 50


def release_page(
    page: ModelAdmin, request: HttpRequest, chosen: Sequence[QuarantinedEvent], *, action: str, selected: Sequence[Any]
) -> HttpResponse:
    """Asks why, then books the events at their own time. What still cannot be booked stays, and is counted."""

    def run(form: forms.Form) -> str:
        outcomes = unknown_usage.release(
            chosen, timezone.now(), actor=audit.user_actor(request.user), reason=form.cleaned_data["reason"]
        )
        booked = outcomes.pop("accepted", 0) + outcomes.pop("duplicate", 0)
        said = str(_("%(booked)d of %(all)d are in the ledger.") % {"booked": booked, "all": len(chosen)})
        left = ", ".join(f"{count} × {code}" for code, count in sorted(outcomes.items()))
        return f"{said} {_('Still waiting')}: {left}." if left else said

    rows = [(f"{row.tenant}, {row.event_id}", f"{row.reason}: {row.detail}") for row in chosen[:MOST_ROWS]]
    if len(chosen) > MOST_ROWS:
        rows.append(("…", str(_("and %(count)d more") % {"count": len(chosen) - MOST_ROWS})))
    return Confirmation(
        page=page,
        title=_("Release into the ledger"),
        text=_(
            "They are booked at their own time, however long ago. In a month that is invoiced they become an adjustment."
        ),
        rows=rows,
        form=ReasonOnly,
        run=run,
        action=action,
        selected=selected,
        button=_("Release"),
        nothing=_(
            "No event of these waits in quarantine. Usage without a price needs no release: publish a price that covers it."
        ),
    ).respond(request)


class OpenFilter(RadioFilter):
    """What still waits."""

    title = _("state")
    parameter_name = "open"
    all_option = None

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("", _("Waiting")), ("resolved", _("Resolved")), ("all", _("All"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "resolved":
                return queryset.filter(resolved_at__isnull=False)
            case "all":
                return queryset
        return queryset.filter(resolved_at__isnull=True)


class UnknownUsageAdmin(ReadOnlyAdmin):
    """Event types without a meter, and meters, models and times without a price: never billed as 0."""

    list_display = ("what", "tenant", "kind", "quantity", "first_seen_at", "last_seen_at", "alerted_on", "state_mark")
    list_filter = (OpenFilter, ("kind", ChoicesDropdownFilter), ("tenant", AutocompleteSelectFilter))
    search_fields = ("meter", "dim_value", "tenant__slug", "tenant__name")
    list_select_related = ("tenant",)
    fields = (
        ("tenant", "state_mark"),
        ("kind", "meter"),
        ("dim_key", "dim_value"),
        "quantity",
        ("first_seen_at", "last_seen_at"),
        ("alerted_on", "resolved_at"),
    )
    actions = ("release_selected",)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        with memo.remembering():
            response = super().changelist_view(request, extra_context)
            return response.render() if hasattr(response, "render") else response

    def has_release_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super(LookOnly, self).has_change_permission(request)

    @admin.action(description=_("Release into the ledger"), permissions=["release"])
    def release_selected(self, request: HttpRequest, queryset: QuerySet[UnknownUsage]) -> HttpResponse:
        values = list(queryset.filter(kind=UnknownKind.EVENT_TYPE))
        chosen: list[QuarantinedEvent] = []
        for value in values:
            waiting = QuarantinedEvent.objects.filter(
                tenant=value.tenant_id, reason=UNKNOWN, resolved_at=None, payload__type=value.meter
            )
            chosen += waiting.select_related("tenant").order_by("pk")
        return release_page(
            self, request, chosen, action="release_selected", selected=list(queryset.values_list("pk", flat=True))
        )

    @display(description=_("What"))
    def what(self, value: UnknownUsage) -> str:
        return str(value)

    @display(description=_("State"))
    def state_mark(self, value: UnknownUsage) -> str:
        if value.resolved_at:
            return badge(_("Resolved"), "good")
        if value.kind == UnknownKind.NO_PRICE:
            return badge(_("Waits for a price"), "bad")
        if any(value.meter in meter.event_types for meter in memo.meters().values()):
            return badge(_("Can be released"), "info")
        return badge(_("Waits for a meter"), "bad")


admin.site.register(UnknownUsage, UnknownUsageAdmin)
