"""Who invoices whom, and with which tax: legal entities, tax rules, tenants' billing profiles. Issued invoices keep what they said."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter, RelatedDropdownFilter
from unfold.decorators import display

from metering.billing import parties
from metering.models import BillingProfile, LegalEntity, TaxRate
from tenants.admin.base import AuditedAdmin, NeverDeleted
from tenants.admin.wording import badge


class LegalEntityAdmin(NeverDeleted, AuditedAdmin):
    """The prefix is fixed with the first number: documents of one entity are one sequence."""

    list_display = ("name", "slug", "prefix", "country", "tax_id", "grace", "default_mark")
    search_fields = ("slug", "name", "tax_id")
    fieldsets = (
        (None, {"fields": (("name", "slug"), ("prefix", "is_default"), ("grace_hours", "payment_days"))}),
        (_("On the invoice"), {"fields": ("address", ("country", "tax_id"), "email", "payment_details")}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: LegalEntity | None = None) -> tuple[str, ...]:
        if obj is None:
            return ()
        return ("slug", "prefix") if obj.sequences.exists() else ("slug",)

    @display(description=_("Grace"))
    def grace(self, entity: LegalEntity) -> str:
        hours = parties.grace_of(entity).total_seconds() / 3600
        return f"{hours:g} h" if entity.grace_hours is not None else f"{hours:g} h ({_('setting')})"

    @display(description=_("Default"))
    def default_mark(self, entity: LegalEntity) -> str:
        return badge(_("Default"), "good") if entity.is_default else "–"


class TaxRateAdmin(NeverDeleted, AuditedAdmin):
    list_display = ("name", "percent", "reverse_mark", "note", "default_mark")
    search_fields = ("name", "note")
    fieldsets = ((None, {"fields": (("name", "rate"), ("reverse_charge", "is_default"), "note")}),)

    @display(description=_("Rate"), ordering="rate")
    def percent(self, rate: TaxRate) -> str:
        return f"{(rate.rate * 100).normalize():f}%"

    @display(description=_("Reverse charge"))
    def reverse_mark(self, rate: TaxRate) -> str:
        return badge(_("Reverse charge"), "info") if rate.reverse_charge else "–"

    @display(description=_("Default"))
    def default_mark(self, rate: TaxRate) -> str:
        return badge(_("Default"), "good") if rate.is_default else "–"


class BillingProfileAdmin(NeverDeleted, AuditedAdmin):
    """Empty fields take the defaults: the tenant's name and contact, the default entity, the default tax rule."""

    list_display = ("tenant", "legal_name", "country", "tax_id", "entity_used", "tax_used", "email")
    list_filter = (("tenant", AutocompleteSelectFilter), ("entity", RelatedDropdownFilter))
    search_fields = ("tenant__slug", "tenant__name", "legal_name", "tax_id", "email")
    list_select_related = ("tenant", "entity", "tax_rate")
    autocomplete_fields = ("tenant",)
    fieldsets = (
        (None, {"fields": ("tenant", ("entity", "tax_rate"))}),
        (_("On the invoice"), {"fields": ("legal_name", "address", ("country", "tax_id"), "email")}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("tenant",) if obj else ()

    @display(description=_("Entity"))
    def entity_used(self, profile: BillingProfile) -> str:
        return str(profile.entity) if profile.entity else str(_("default"))

    @display(description=_("Tax"))
    def tax_used(self, profile: BillingProfile) -> str:
        return str(profile.tax_rate) if profile.tax_rate else str(_("default"))


admin.site.register(LegalEntity, LegalEntityAdmin)
admin.site.register(TaxRate, TaxRateAdmin)
admin.site.register(BillingProfile, BillingProfileAdmin)
