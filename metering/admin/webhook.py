"""Webhook endpoints and their log, and unusual days: looked at by operators; messages are sent again, endpoints switched off."""

from __future__ import annotations

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
from tenants.admin.base import ReadOnlyAdmin
from tenants.admin.bulk import ActedOn, confirmed
from tenants.admin.wording import badge, meter_name

from .budget import money

TONES = {
    DeliveryState.DELIVERED: "good", DeliveryState.FAILED: "bad", DeliveryState.PENDING: "warn", DeliveryState.SENDING: "info",
}  # fmt: skip


class WebhookEndpointAdmin(ActedOn, ReadOnlyAdmin):
    """Tenants make and change their own; an operator can stop one that does harm."""

    list_display = ("tenant", "url", "events", "state_mark", "created_at")
    list_filter = (("tenant", AutocompleteSelectFilter),)
    search_fields = ("tenant__slug", "tenant__name", "url", "description")
    list_select_related = ("tenant",)
    fields = ("tenant", "url", "description", "events", "is_active", "previous_until", "created_at")
    readonly_fields = ("events",)
    actions = ("switch_off",)

    @admin.action(description=_("Switch off"), permissions=["act"])
    def switch_off(self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint]) -> HttpResponse:
        chosen = list(queryset.filter(is_active=True).select_related("tenant"))

        def apply(reason: str) -> None:
            for row in chosen:
                endpoints.update(row, row.url, row.event_types, False, audit.user_actor(request.user))

        return confirmed(
            self,
            request,
            chosen,
            action="switch_off",
            title=_("Switch off endpoints"),
            text=_("Nothing is sent there until the tenant switches it on again."),
            said=lambda row: row.url,
            apply=apply,
            done=_("Switched off. Nothing is sent there any more."),
            button=_("Switch off"),
            nothing=_("These are off already."),
        )

    @display(description=_("Events"))
    def events(self, row: WebhookEndpoint) -> str:
        return ", ".join(row.event_types) or str(_("Every event"))

    @display(description=_("State"))
    def state_mark(self, row: WebhookEndpoint) -> str:
        return badge(_("On"), "good") if row.is_active else badge(_("Off"))


class WebhookDeliveryAdmin(ActedOn, ReadOnlyAdmin):
    list_display = ("created_at", "tenant", "event_type", "state_mark", "attempts", "response_status", "last_error")
    list_filter = (
        ("tenant", AutocompleteSelectFilter),
        ("state", ChoicesDropdownFilter),
        ("created_at", RangeDateTimeFilter),
    )
    search_fields = ("tenant__slug", "tenant__name", "message_id", "event_type")
    list_select_related = ("tenant",)
    actions = ("send_again",)

    @admin.action(description=_("Send again"), permissions=["act"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]) -> HttpResponse:
        chosen = list(queryset.exclude(state=DeliveryState.SENDING).select_related("tenant"))

        def apply(reason: str) -> None:
            for row in chosen:
                delivery.redeliver(row, timezone.now())

        return confirmed(
            self,
            request,
            chosen,
            action="send_again",
            title=_("Send again"),
            text=_("Under the same message id, and retried for another 24 hours."),
            said=lambda row: f"{row.event_type} {row.message_id}",
            apply=apply,
            done=_("They go out within seconds."),
            button=_("Send"),
            nothing=_("These are on their way."),
        )

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
