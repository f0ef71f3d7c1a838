"""Visits of operators to tenants' portals: who looked, as whom, why, from when until when."""

from __future__ import annotations

from django.contrib import admin
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter, RangeDateTimeFilter
from unfold.decorators import display

from tenants.models import Visit

from .base import ReadOnlyAdmin
from .wording import badge


class VisitAdmin(ReadOnlyAdmin):
    list_display = ("tenant", "operator", "role", "reason", "state_mark", "started_at", "ends_at", "ended_at")
    list_filter = (
        ("tenant", AutocompleteSelectFilter),
        ("role", ChoicesDropdownFilter),
        ("started_at", RangeDateTimeFilter),
    )
    search_fields = ("tenant__slug", "tenant__name", "operator__username", "reason")
    list_select_related = ("tenant", "operator")

    @display(description=_("State"))
    def state_mark(self, visit: Visit) -> str:
        return badge(_("Looking now"), "warn") if visit.in_force(timezone.now()) else badge(_("Over"))


admin.site.register(Visit, VisitAdmin)
