"""Webhook endpoints and their log, and unusual days: looked at by operators; messages are sent again, endpoints switched off."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter, RangeDateTimeFilter
from unfold.decorators import display

from metering.models import DeliveryState, SpendAnomaly, WebhookDelivery, WebhookEndpoint
from metering.webhooks import delivery, endpoints
from tenants import audit
from tenants.admin.base import LookOnly, ReadOnlyAdmin, acting
from tenants.admin.confirm import Confirmation, ReasonOnly
from tenants.admin.wording import badge, meter_name

from .budget import money

TONES = {
    DeliveryState.DELIVERED: "good", DeliveryState.FAILED: "bad", DeliveryState.PENDING: "warn", DeliveryState.SENDING: "info",
}  # fmt: skip


class WebhookEndpointAdmin(ReadOnlyAdmin):
    """Tenants make and change their own; an operator can stop one that does harm."""

    list_display = ("tenant", "url", "events", "state_mark", "created_at")
    list_filter = (("tenant", AutocompleteSelectFilter),)
    search_fields = ("tenant__slug", "tenant__name", "url", "description")
    list_select_related = ("tenant",)
    fields = ("tenant", "url", "description", "events", "is_active", "previous_until", "created_at")
    readonly_fields = ("events",)
    actions = ("switch_off",)

    def has_stop_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super(LookOnly, self).has_change_permission(request)  # past LookOnly: stopping is all that is done here

    @admin.action(description=_("Switch off"), permissions=["stop"])
    def switch_off(self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint]) -> HttpResponse:
        chosen = list(queryset.filter(is_active=True).select_related("tenant"))

        def run(form: forms.Form) -> str:
            with acting(request, form.cleaned_data["reason"]):
                for row in chosen:
                    endpoints.update(row, row.url, row.event_types, False, audit.user_actor(request.user))
            return str(_("Switched off. Nothing is sent there any more."))

        return Confirmation(
            page=self,
            title=_("Switch off endpoints"),
            text=_("Nothing is sent there until the tenant switches it on again."),
            rows=[(str(row.tenant), row.url) for row in chosen],
            form=ReasonOnly,
            run=run,
            action="switch_off",
            selected=[row.pk for row in chosen],
            button=_("Switch off"),
            nothing=_("These are off already."),
        ).respond(request)

    @display(description=_("Events"))
    def events(self, row: WebhookEndpoint) -> str:
        return ", ".join(row.event_types) or str(_("Every event"))

    @display(description=_("State"))
    def state_mark(self, row: WebhookEndpoint) -> str:
        return badge(_("On"), "good") if row.is_active else badge(_("Off"))


class WebhookDeliveryAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "tenant", "event_type", "state_mark", "attempts", "response_status", "last_error")
    list_filter = (
        ("tenant", AutocompleteSelectFilter),
        ("state", ChoicesDropdownFilter),
        ("created_at", RangeDateTimeFilter),
    )
    search_fields = ("tenant__slug", "tenant__name", "message_id", "event_type")
    list_select_related = ("tenant",)
    actions = ("send_again",)

    def has_send_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super(LookOnly, self).has_change_permission(request)

    @admin.action(description=_("Send again"), permissions=["send"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]) -> HttpResponse:
        chosen = list(queryset.exclude(state=DeliveryState.SENDING).select_related("tenant"))

        def run(form: forms.Form) -> str:
            with acting(request, form.cleaned_data["reason"]):
                for row in chosen:
                    delivery.redeliver(row, timezone.now())
            return str(_("They go out within seconds."))

        return Confirmation(
            page=self,
            title=_("Send again"),
            text=_("Under the same message id, and retried for another 24 hours."),
            rows=[(str(row.tenant), f"{row.event_type} {row.message_id}") for row in chosen],
            form=ReasonOnly,
            run=run,
            action="send_again",
            selected=[row.pk for row in chosen],
            button=_("Send"),
            nothing=_("These are on their way."),
        ).respond(request)

    @display(description=_("State"), ordering="state")
    def state_mark(self, row: WebhookDelivery) -> str:
        return badge(row.get_state_display(), TONES[DeliveryState(row.state)])


class SpendAnomalyAdmin(ReadOnlyAdmin):
    list_display = ("day", "tenant", "direction_mark", "cost_in_words", "usual", "meter_in_words", "detected_at")
    list_filter = (("tenant", AutocompleteSelectFilter), ("direction", ChoicesDropdownFilter))
    search_fields = ("tenant__slug", "tenant__name", "meter")
    list_select_related = ("tenant",)

    @display(description=_("What"), ordering="direction")
    def direction_mark(self, row: SpendAnomaly) -> str:
        return badge(row.get_direction_display(), "warn" if row.direction == "high" else "info")

    @display(description=_("Cost"), ordering="cost")
    def cost_in_words(self, row: SpendAnomaly) -> str:
        return money(row.cost, row.currency)

    @display(description=_("Usual"))
    def usual(self, row: SpendAnomaly) -> str:
        return f"{money(row.low, row.currency)} – {money(row.high, row.currency)}"

    @display(description=_("Mostly"))
    def meter_in_words(self, row: SpendAnomaly) -> str:
        return meter_name(row.meter) if row.meter else "–"


admin.site.register(WebhookEndpoint, WebhookEndpointAdmin)
admin.site.register(WebhookDelivery, WebhookDeliveryAdmin)
admin.site.register(SpendAnomaly, SpendAnomalyAdmin)
