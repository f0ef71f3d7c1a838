"""Blocks: what a spent budget (or an operator) refuses a tenant for a while."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter
from unfold.decorators import display

from tenants import audit
from tenants.limiting import blocks
from tenants.models import TenantBlock

from .base import ReadOnlyAdmin
from .bulk import ActedOn, confirmed
from .wording import badge


class TenantBlockAdmin(ActedOn, ReadOnlyAdmin):
    list_display = ("tenant", "action", "code", "state_mark", "detail", "created_at", "until")
    list_filter = (("tenant", AutocompleteSelectFilter), ("action", ChoicesDropdownFilter))
    search_fields = ("tenant__slug", "tenant__name", "code", "origin", "detail")
    list_select_related = ("tenant",)
    actions = ("lift_selected",)

    @admin.action(description=_("Lift"), permissions=["act"])
    def lift_selected(self, request: HttpRequest, queryset: QuerySet[TenantBlock]) -> HttpResponse:
        chosen = list(queryset.filter(lifted_at__isnull=True).select_related("tenant"))
        return confirmed(
            self,
            request,
            chosen,
            action="lift_selected",
            title=_("Lift blocks"),
            text=_(
                "Calls are taken again with the next request. The same cause does not block again within its period."
            ),
            said=lambda block: block.detail,
            apply=lambda reason: blocks.lift(
                chosen, actor=audit.user_actor(request.user), reason=reason, now=timezone.now()
            ),
            done=_("Lifted. Calls are taken again."),
            button=_("Lift"),
            nothing=_("These blocks are lifted already."),
        )

    @display(description=_("State"))
    def state_mark(self, block: TenantBlock) -> str:
        over = block.lifted_at is not None or (block.until is not None and block.until <= timezone.now())
        return badge(_("Over")) if over else badge(_("In force"), "bad")


admin.site.register(TenantBlock, TenantBlockAdmin)
