"""Blocks: what a spent budget (or an operator) refuses a tenant for a while."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter
from unfold.decorators import display

from tenants import audit, blocks
from tenants.models import TenantBlock

from .base import LookOnly, ReadOnlyAdmin, acting
from .confirm import Confirmation, ReasonOnly
from .wording import badge


class TenantBlockAdmin(ReadOnlyAdmin):
    list_display = ("tenant", "action", "code", "state_mark", "detail", "created_at", "until")
    list_filter = (("tenant", AutocompleteSelectFilter), ("action", ChoicesDropdownFilter))
    search_fields = ("tenant__slug", "tenant__name", "code", "origin", "detail")
    list_select_related = ("tenant",)
    actions = ("lift_selected",)

    def has_lift_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super(LookOnly, self).has_change_permission(request)  # past LookOnly: lifting is all that is done here

    @admin.action(description=_("Lift"), permissions=["lift"])
    def lift_selected(self, request: HttpRequest, queryset: QuerySet[TenantBlock]) -> HttpResponse:
        chosen = list(queryset.filter(lifted_at__isnull=True).select_related("tenant"))

        def run(form: forms.Form) -> str:
            with acting(request, form.cleaned_data["reason"]):
                blocks.lift(
                    chosen,
                    actor=audit.user_actor(request.user),
                    reason=form.cleaned_data["reason"],
                    now=timezone.now(),
                )
            return str(_("Lifted. Calls are taken again."))

        return Confirmation(
            page=self,
            title=_("Lift blocks"),
            text=_(
                "Calls are taken again with the next request. The same cause does not block again within its period."
            ),
            rows=[(str(block.tenant), block.detail) for block in chosen],
            form=ReasonOnly,
            run=run,
            action="lift_selected",
            selected=[block.pk for block in chosen],
            button=_("Lift"),
            nothing=_("These blocks are lifted already."),
        ).respond(request)

    @display(description=_("State"))
    def state_mark(self, block: TenantBlock) -> str:
        over = block.lifted_at is not None or (block.until is not None and block.until <= timezone.now())
        return badge(_("Over")) if over else badge(_("In force"), "bad")


admin.site.register(TenantBlock, TenantBlockAdmin)
