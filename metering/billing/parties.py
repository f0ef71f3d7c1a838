"""Who stands on an invoice: the issuing entity, the customer, and the tax rule between them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings

from tenants.models import Tenant

from .. import memo
from ..models import BillingProfile, LegalEntity, TaxRate
from ..pricing import NO_TAX, TaxRule


class NoEntityError(LookupError):
    """No legal entity is set up to invoice with."""

    def __init__(self) -> None:
        super().__init__(
            "No legal entity invoices this tenant. Add one in the admin under Legal entities and make it the default."
        )


def profile_of(tenant: Tenant) -> BillingProfile:
    """The tenant's billing profile; an unsaved, empty one where there is none."""
    return profiles_of([tenant])[tenant.pk]


def profiles_of(tenants: Iterable[Tenant]) -> dict[int, BillingProfile]:
    """`profile_of` of many tenants, by tenant id: one query."""
    everyone = {tenant.pk: tenant for tenant in tenants}
    profiles = {pk: BillingProfile(tenant=tenant) for pk, tenant in everyone.items()}
    for profile in BillingProfile.objects.select_related("entity", "tax_rate").filter(tenant__in=list(everyone)):
        profile.tenant = everyone[profile.tenant_id]
        profiles[profile.tenant_id] = profile
    return profiles


def entity_for(profile: BillingProfile) -> LegalEntity:
    """The entity that invoices this customer. Raises NoEntityError when neither the profile nor a default names one."""
    entity = profile.entity or memo.once("default entity", lambda: LegalEntity.objects.filter(is_default=True).first())
    if entity is None:
        raise NoEntityError
    return entity


def grace_of(entity: LegalEntity) -> timedelta:
    """How long after a month's end late usage still flows into the draft: the entity's own time, else the setting's."""
    own = entity.grace_hours
    return timedelta(hours=settings.INVOICE_GRACE_HOURS if own is None else own)


def due_on(entity: LegalEntity, issued_at: datetime, zone: str) -> date:
    """The last day to pay an invoice issued then: so many days later in the customer's time zone."""
    return issued_at.astimezone(ZoneInfo(zone)).date() + timedelta(days=entity.payment_days)


def tax_rate_for(profile: BillingProfile) -> TaxRate | None:
    """The profile's tax rate, else the default one, else None (no tax)."""
    return profile.tax_rate or memo.once("default tax rate", lambda: TaxRate.objects.filter(is_default=True).first())


def tax_rule(rate: TaxRate | None) -> TaxRule:
    """The pure rule that `pricing.tax` follows."""
    return NO_TAX if rate is None else TaxRule(rate.name, rate.rate, rate.reverse_charge)


def customer(profile: BillingProfile) -> dict[str, Any]:
    """The customer's block of the snapshot."""
    return {
        "tenant": profile.tenant.slug,
        "name": profile.legal_name or profile.tenant.name,
        "address": profile.address,
        "country": profile.country,
        "tax_id": profile.tax_id,
        "email": profile.email or profile.tenant.contact_email,
    }


def seller(entity: LegalEntity) -> dict[str, Any]:
    """The issuing entity's block of the snapshot."""
    return {
        "slug": entity.slug,
        "name": entity.name,
        "address": entity.address,
        "country": entity.country,
        "tax_id": entity.tax_id,
        "email": entity.email,
        "payment_details": entity.payment_details,
    }
