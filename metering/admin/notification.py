"""E-mails that are owed, sent or given up, and the button that tries again."""

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

from metering.models import Notification, NotificationState
from metering.telling import notifications
from tenants.admin.base import LookOnly, ReadOnlyAdmin, acting
from tenants.admin.confirm import Confirmation, ReasonOnly
from tenants.admin.wording import badge

TONES = {
    NotificationState.PENDING: "info",
    NotificationState.SENDING: "info",
    NotificationState.SENT: "good",
    NotificationState.FAILED: "bad",
}


class NotificationAdmin(ReadOnlyAdmin):
    list_display = ("subject", "recipient", "kind", "tenant", "state_mark", "attempts", "created_at", "sent_at")
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("kind", AllValuesCheckboxFilter),
        ("tenant", AutocompleteSelectFilter),
        ("created_at", RangeDateTimeFilter),
    )
    search_fields = ("recipient", "subject", "dedupe_key", "tenant__slug", "last_error")
    list_select_related = ("tenant",)
    fields = (
        ("subject", "recipient"),
        ("kind", "tenant", "dedupe_key"),
        ("state_mark", "attempts", "next_attempt_at"),
        ("created_at", "sent_at"),
        "last_error",
        "plain_text",
    )
    actions = ("retry_selected",)
    actions_detail = ("retry",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Notification]:
        return super().get_queryset(request).defer("html")

    def has_retry_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return super(LookOnly, self).has_change_permission(request)

    @action(description=_("Send again"), icon="send", permissions=["retry"])
    def retry(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return self._retry(request, Notification.objects.filter(pk=object_id))

    @admin.action(description=_("Send again"), permissions=["retry"])
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[Notification]) -> HttpResponse:
        return self._retry(request, queryset, "retry_selected")

    def _retry(self, request: HttpRequest, queryset: QuerySet[Notification], name: str = "") -> HttpResponse:
        chosen = list(queryset.filter(state__in=[NotificationState.FAILED, NotificationState.PENDING]))

        def run(form: forms.Form) -> str:
            with acting(request, form.cleaned_data["reason"]):
                notifications.send_again(Notification.objects.filter(pk__in=[row.pk for row in chosen]), timezone.now())
            return str(_("They go out within seconds."))

        return Confirmation(
            page=self,
            title=_("Send again"),
            text=_("They are tried again now, and for another 24 hours."),
            rows=[(row.recipient, row.subject) for row in chosen],
            form=ReasonOnly,
            run=run,
            action=name,
            selected=[row.pk for row in chosen],
            button=_("Send"),
            nothing=_("These are sent, or on their way."),
        ).respond(request)

    @display(description=_("State"), ordering="state")
    def state_mark(self, notification: Notification) -> str:
        return badge(notification.get_state_display(), TONES[NotificationState(notification.state)])

    @display(description=_("Text"))
    def plain_text(self, notification: Notification) -> str:
        return format_html('<pre class="pa-mail">{}</pre>', notification.text)


admin.site.register(Notification, NotificationAdmin)
