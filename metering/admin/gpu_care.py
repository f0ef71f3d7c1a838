"""The mapping table of attribution, the rules that release idle reservations, and who was told what about GPUs."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter, RangeDateTimeFilter
from unfold.decorators import display

from metering.models import GpuNotice, GpuOwnerRule, IdleReleaseRule
from tenants.admin.base import AuditedAdmin, ReadOnlyAdmin
from tenants.admin.wording import badge


class GpuOwnerRuleAdmin(AuditedAdmin):
    list_display = ("position", "fact", "pattern", "node", "tenant")
    list_display_links = ("pattern",)
    list_filter = (("fact", ChoicesDropdownFilter), ("tenant", AutocompleteSelectFilter))
    search_fields = ("pattern", "node", "tenant__slug", "tenant__name")
    list_select_related = ("tenant",)
    autocomplete_fields = ("tenant",)
    fields = (("fact", "pattern"), ("tenant", "node"), "position")


class IdleReleaseRuleAdmin(AuditedAdmin):
    list_display = ("scope", "state_mark", "idle_minutes", "grace_minutes")
    list_select_related = ("tier",)
    fields = ("tier", "is_on", ("idle_minutes", "grace_minutes"))

    @display(description=_("For"))
    def scope(self, rule: IdleReleaseRule) -> str:
        return str(rule)

    @display(description=_("State"))
    def state_mark(self, rule: IdleReleaseRule) -> str:
        return badge(_("On"), "good") if rule.is_on else badge(_("Off"))


class GpuNoticeAdmin(ReadOnlyAdmin):
    list_display = ("at", "kind", "tenant", "device", "reservation", "cleared_at")
    list_filter = (
        ("kind", ChoicesDropdownFilter),
        ("tenant", AutocompleteSelectFilter),
        ("at", RangeDateTimeFilter),
    )
    search_fields = ("tenant__slug", "device__node", "device__uuid")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("tenant", "device", "reservation")


admin.site.register(GpuOwnerRule, GpuOwnerRuleAdmin)
admin.site.register(IdleReleaseRule, IdleReleaseRuleAdmin)
admin.site.register(GpuNotice, GpuNoticeAdmin)
