"""Alerts of the monitoring: what fires, since when, what to do, and who takes care of it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import (
    AllValuesCheckboxFilter,
    AutocompleteSelectFilter,
    ChoicesDropdownFilter,
    RangeDateTimeFilter,
)
from unfold.decorators import action, display

from metering import monitoring
from metering.models.monitoring_alert import AlertState, MonitoringAlert
from tenants.admin.base import LookOnly, ReadOnlyAdmin, acting
from tenants.admin.confirm import Confirmation, ReasonOnly
from tenants.admin.wording import badge
from tenants.models import User

TONES = {"critical": "bad", "warning": "warn", "info": "info"}


class MonitoringAlertAdmin(ReadOnlyAdmin):
    list_display = ("summary", "severity_mark", "state_mark", "tenant", "team", "starts_at", "ends_at", "taken_by")
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("severity", AllValuesCheckboxFilter),
        ("name", AllValuesCheckboxFilter),
        ("tenant", AutocompleteSelectFilter),
        ("starts_at", RangeDateTimeFilter),
    )
    search_fields = ("name", "summary", "description", "tenant__slug", "team")
    list_select_related = ("tenant", "acknowledged_by")
    fields = (
        ("summary", "name"),
        ("severity_mark", "state_mark", "team"),
        "description",
        ("runbook", "source"),
        ("tenant", "for_tenant"),
        ("starts_at", "ends_at", "last_seen_at"),
        ("taken_by", "acknowledged_at", "acknowledgement"),
        "labels",
    )
    actions = ("acknowledge_selected",)
    actions_detail = ("acknowledge",)

    def has_acknowledge_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return super(LookOnly, self).has_change_permission(request)

    @action(description=_("Acknowledge"), icon="front_hand", permissions=["acknowledge"])
    def acknowledge(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return self._acknowledge(request, MonitoringAlert.objects.filter(pk=object_id))

    @admin.action(description=_("Acknowledge"), permissions=["acknowledge"])
    def acknowledge_selected(self, request: HttpRequest, queryset: QuerySet[MonitoringAlert]) -> HttpResponse:
        return self._acknowledge(request, queryset, "acknowledge_selected")

    def _acknowledge(self, request: HttpRequest, queryset: QuerySet[MonitoringAlert], name: str = "") -> HttpResponse:
        chosen = list(queryset.filter(acknowledged_at__isnull=True))

        def run(form: forms.Form) -> str:
            reason = form.cleaned_data["reason"]
            assert isinstance(request.user, User)  # noqa: S101  (the admin's own check)
            with acting(request, reason):
                monitoring.acknowledge([row.pk for row in chosen], request.user, reason, timezone.now())
            return str(_("You take care of it; everybody sees that here."))

        return Confirmation(
            page=self,
            title=_("Acknowledge"),
            text=_(
                "Your name and your words stand beside them. Alertmanager goes on until they end, or are silenced there."
            ),
            rows=[(row.name, row.summary) for row in chosen],
            form=ReasonOnly,
            run=run,
            action=name,
            selected=[row.pk for row in chosen],
            button=_("Acknowledge"),
            nothing=_("Somebody takes care of these already."),
        ).respond(request)

    @display(description=_("Severity"), ordering="severity")
    def severity_mark(self, alert: MonitoringAlert) -> str:
        return badge(alert.severity.capitalize(), TONES.get(alert.severity, "info"))

    @display(description=_("State"), ordering="state")
    def state_mark(self, alert: MonitoringAlert) -> str:
        if alert.state == AlertState.RESOLVED:
            return badge(_("Resolved"), "good")
        return (
            badge(_("Not heard of lately"), "warn")
            if monitoring.is_stale(alert, timezone.now())
            else badge(_("Firing"), "bad")
        )

    @display(description=_("Taken by"))
    def taken_by(self, alert: MonitoringAlert) -> str:
        return str(alert.acknowledged_by or "")

    @display(description=_("Runbook"))
    def runbook(self, alert: MonitoringAlert) -> str:
        return _link(alert.runbook_url, alert.name)

    @display(description=_("Rule"))
    def source(self, alert: MonitoringAlert) -> str:
        return _link(alert.source_url, str(_("In Prometheus")))


def _link(url: str, text: str) -> str:
    return format_html('<a class="pa-link" href="{}" target="_blank" rel="noopener">{}</a>', url, text) if url else ""


admin.site.register(MonitoringAlert, MonitoringAlertAdmin)
