"""GPU reservations of all tenants: who holds what, and taking it back."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter, RangeDateTimeFilter
from unfold.decorators import display

from metering.models import Reservation, ReservationChange, ReservationState
from metering.reservations import ending, reading
from tenants import audit
from tenants.admin.base import LookOnly, ReadOnlyAdmin
from tenants.admin.confirm import Confirmation, ReasonOnly
from tenants.admin.wording import badge

TONES = {ReservationState.HELD: "good", ReservationState.LAPSED: "warn", ReservationState.RELEASED: "warn"}


class ChangeInline(LookOnly, TabularInline):
    """What happened to it, in order."""

    model = ReservationChange
    fields = ("at", "kind", "actor", "detail")
    readonly_fields = fields
    extra = 0
    can_delete = False
    ordering = ("id",)


class ReservationAdmin(ReadOnlyAdmin):
    list_display = ("tenant", "what", "state_mark", "started_at", "ends", "hours", "money", "heartbeat_at")
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("tenant", AutocompleteSelectFilter),
        ("started_at", RangeDateTimeFilter),
    )
    search_fields = ("tenant__slug", "tenant__name", "gpu_model", "created_by")
    list_select_related = ("tenant",)
    fields = (
        ("tenant", "public_id", "state"),
        ("gpus", "gpu_model", "fraction"),
        ("started_at", "expected_seconds", "ended_at"),
        ("heartbeat_at", "seen_at", "lapses_at", "booked_until"),
        ("estimate", "currency", "price_version"),
        "labels",
        "placements",
        "created_by",
    )
    inlines = (ChangeInline,)
    actions = ("release_selected",)

    def has_release_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super(LookOnly, self).has_change_permission(request)  # past LookOnly: releasing is all that is done here

    @admin.action(description=_("Release"), permissions=["release"])
    def release_selected(self, request: HttpRequest, queryset: QuerySet[Reservation]) -> HttpResponse:
        chosen = list(queryset.filter(state=ReservationState.HELD).select_related("tenant"))

        def run(form: forms.Form) -> str:
            actor, now = audit.user_actor(request.user), timezone.now()
            for row in chosen:
                ending.release(row.tenant, row.public_id, actor=actor, reason=form.cleaned_data["reason"], now=now)
            return str(_("Released. The jobs’ next heartbeats are told so."))

        return Confirmation(
            page=self,
            title=_("Release reservations"),
            text=_(
                "Each ends where it was last confirmed. Jobs that run on are not stopped: what they still hold is billed as measured."
            ),
            rows=[(str(row.tenant), str(row)) for row in chosen],
            form=ReasonOnly,
            run=run,
            action="release_selected",
            selected=[row.pk for row in chosen],
            button=_("Release"),
            danger=True,
            nothing=_("These reservations have ended already."),
        ).respond(request)

    @display(description=_("GPUs"))
    def what(self, row: Reservation) -> str:
        return str(row)

    @display(description=_("State"))
    def state_mark(self, row: Reservation) -> str:
        if reading.is_overrun(row, timezone.now()):
            return badge(_("Held, overdue"), "warn")
        return badge(row.get_state_display(), TONES.get(ReservationState(row.state), ""))

    @display(description=_("Ends"))
    def ends(self, row: Reservation) -> Any:
        return row.ended_at or reading.expected_end(row)

    @display(description=_("GPU hours"))
    def hours(self, row: Reservation) -> str:
        return f"{reading.gpu_hours(row, timezone.now()):.2f} / {reading.reserved_hours(row):.2f}"

    @display(description=_("Cost"))
    def money(self, row: Reservation) -> str:
        return str(reading.cost(row, timezone.now()))


admin.site.register(Reservation, ReservationAdmin)
