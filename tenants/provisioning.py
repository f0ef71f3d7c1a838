"""Tenants come, change and go: create, update, change tier, suspend, resume, close. For operators, the demo and the admin.

Every function opens its own transaction, names who did it and why in the audit trail, and publishes the tenant's policy afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from . import audit, signals
from .enforcement.publishing.policy import publish_after_commit
from .models import Membership, Role, Tenant, TenantState, Tier, User
from .problems import Conflict, from_validation_error, invalid

UPDATABLE = ("name", "time_zone", "contact_email")
"""What `update` may change. The slug never changes; the currency not after creation, because money is never converted."""


def default_tier() -> Tier:
    """The tier of a tenant for whom none is named. Raises Conflict when the platform has no default tier."""
    tier = Tier.objects.filter(is_default=True).first()
    if tier is None:
        raise Conflict("No tier is marked as default. Name a tier, or mark one in the admin.")
    return tier


def tier_by_slug(slug: str) -> Tier:
    """The tier of that slug. Raises Invalid, listing the slugs that exist."""
    tier = Tier.objects.filter(slug=slug).first()
    if tier is None:
        raise invalid(
            "tier",
            "There is no such tier. Choose " + ", ".join(Tier.objects.values_list("slug", flat=True)) + ".",
            "unknown",
        )
    return tier


def create_tenant(
    *,
    slug: str,
    name: str,
    actor: str,
    reason: str = "",
    tier: Tier | None = None,
    time_zone: str = "UTC",
    currency: str = "USD",
    contact_email: str = "",
    owner: User | None = None,
) -> Tenant:
    """A new, active tenant, with `owner` as its first owner when given. Raises Invalid, or Conflict when the slug is taken."""
    with audit.acting(actor, reason):
        tenant = Tenant(
            slug=slug,
            name=name,
            tier=tier or default_tier(),
            time_zone=time_zone,
            currency=currency,
            contact_email=contact_email,
        )
        _clean(tenant)
        signals.tier_chosen.send(Tenant, tenant=tenant, tier=tenant.tier, now=timezone.now())
        try:
            with transaction.atomic():
                tenant.save(force_insert=True)
        except IntegrityError:
            raise Conflict(f"A tenant “{slug}” exists already.") from None
        if owner is not None:
            Membership.objects.create(tenant=tenant, user=owner, role=Role.OWNER)
        publish_after_commit(tenant.pk)
    return tenant


def update(tenant: Tenant, changes: dict[str, Any], *, actor: str, reason: str = "") -> Tenant:
    """Change name, time zone (from the next billing period on) or contact address. Raises Invalid."""
    for field in changes:
        if field not in UPDATABLE:
            raise invalid(field, "This cannot be changed.", "read_only")

    def apply(row: Tenant) -> list[str]:
        for field, value in changes.items():
            setattr(row, field, value)
        _clean(row)
        return list(changes)

    return _change(tenant, apply, actor, reason)


def change_tier(tenant: Tenant, tier: Tier, *, actor: str, reason: str = "") -> Tenant:
    """Move the tenant to another tier; its limits are in force on the next call. Overrides stay.

    Raises Invalid when the tier is billed in another currency than the tenant, unless nothing is left in the tenant's own: then it changes.
    """

    def apply(row: Tenant) -> list[str]:
        if row.tier_id != tier.pk:
            signals.tier_chosen.send(Tenant, tenant=row, tier=tier, now=timezone.now())
        row.tier = tier
        return ["tier", "currency"]

    return _change(tenant, apply, actor, reason)


def suspend(tenant: Tenant, *, actor: str, reason: str) -> Tenant:
    """Refuse the tenant's calls until `resume`. People can still look. Raises Conflict for a closed tenant."""
    return _set_state(tenant, TenantState.SUSPENDED, actor, reason)


def resume(tenant: Tenant, *, actor: str, reason: str = "") -> Tenant:
    """Take calls again. Raises Conflict for a closed tenant."""
    return _set_state(tenant, TenantState.ACTIVE, actor, reason)


def close(tenant: Tenant, *, actor: str, reason: str) -> Tenant:
    """End the tenant for good: calls are refused, keys revoked; ledger, invoices and slug stay."""
    return _set_state(tenant, TenantState.CLOSED, actor, reason)


def _set_state(tenant: Tenant, state: TenantState, actor: str, reason: str) -> Tenant:
    if state != TenantState.ACTIVE and not reason.strip():
        raise invalid("reason", "Say why; the tenant will read it.", "required")

    def apply(row: Tenant) -> list[str]:
        if row.state == TenantState.CLOSED and state != TenantState.CLOSED:
            raise Conflict("This tenant is closed for good.")
        before, row.state = row.state, state
        row.state_reason = "" if state == TenantState.ACTIVE else reason.strip()
        if state == TenantState.CLOSED:
            _revoke_all_keys(row)
        _clean(row)
        if before != state:
            told = signals.resumed if state == TenantState.ACTIVE else signals.blocked
            told.send(
                Tenant, tenant=row, now=timezone.now(), action=before if state == TenantState.ACTIVE else state,
                code=f"tenant_{state}", reason=reason, until=None,
            )  # fmt: skip
        return ["state", "state_reason"]

    return _change(tenant, apply, actor, reason)


def _revoke_all_keys(tenant: Tenant) -> None:
    tenant.api_keys.filter(revoked_at__isnull=True).update(revoked_at=timezone.now())


def _change(tenant: Tenant, apply: Callable[[Tenant], list[str]], actor: str, reason: str) -> Tenant:
    """Lock the row, let `apply` change it, save what it names. The caller's object is refreshed."""
    with audit.acting(actor, reason):
        row = Tenant.objects.select_for_update(of=("self",)).select_related("tier").get(pk=tenant.pk)
        row.save(update_fields=apply(row))
        publish_after_commit(row.pk)
    for field in (*UPDATABLE, "state", "state_reason", "tier", "currency"):
        setattr(tenant, field, getattr(row, field))
    return tenant


def _clean(tenant: Tenant) -> None:
    try:
        tenant.full_clean(exclude={"tier"}, validate_unique=False)
    except ValidationError as error:
        raise from_validation_error(error) from None
