"""What rate limits and quotas have in common over HTTP: the effective value with its source, and overrides by PUT, PATCH, DELETE."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from rest_framework import serializers

from ..limiting import overrides
from ..limits import EffectiveLimit
from ..models import Override, QuotaMode, Tenant
from ..problems import invalid
from .callers import Caller
from .fields import PlainNumber, StrictChoice, StrictDecimal, StrictInstant, StrictText
from .serializers import QuerySerializer, StrictSerializer


class OverrideSerializer(serializers.Serializer[Any]):
    """A limit of this tenant's own."""

    id = serializers.IntegerField()
    limit = PlainNumber(allow_null=True, help_text="null is unlimited, 0 refuses everything.")
    mode = serializers.CharField(allow_null=True)
    reason = serializers.CharField()
    valid_from = serializers.DateTimeField()
    valid_until = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()


class LimitSerializer(serializers.Serializer[Any]):
    """A limit in force."""

    limit = PlainNumber(allow_null=True, help_text="null is unlimited, 0 refuses everything.")
    source = serializers.ChoiceField(choices=["tier", "override"], help_text="Where the limit comes from.")  # type: ignore[assignment]
    tier = serializers.CharField(help_text="Slug of the tenant's tier.")
    shadow = serializers.BooleanField(help_text="Counted, but never refused.")
    valid_until = serializers.DateTimeField(allow_null=True, help_text="When the override ends by itself.")
    reason = serializers.CharField(help_text="Why the override was made; empty for a tier's limit.")
    override = OverrideSerializer(allow_null=True)
    scheduled = OverrideSerializer(many=True, help_text="Overrides that start later.")


class WindowOverrideSerializer(StrictSerializer):
    """A rate limit for this tenant, per user."""

    limit = StrictDecimal(
        max_digits=20,
        decimal_places=6,
        allow_null=True,
        help_text="Calls in the window; null is unlimited, 0 refuses all.",
    )
    reason = StrictText(max_length=300, help_text="Kept in the audit trail and shown to the tenant.")
    valid_from = StrictInstant(required=False, help_text="Now when left out.")
    valid_until = StrictInstant(
        required=False, allow_null=True, help_text="The limit ends then by itself. For good when left out."
    )


class QuotaOverrideSerializer(WindowOverrideSerializer):
    """A monthly quota for this tenant."""

    limit = StrictDecimal(
        max_digits=20,
        decimal_places=6,
        allow_null=True,
        help_text="In the meter's unit (calls, hours, GB); null is unlimited, 0 refuses all.",
    )
    mode = StrictChoice(choices=QuotaMode.choices, required=False, help_text="The tier's when left out.")


class ReasonQuery(QuerySerializer):
    """Why a limit is removed."""

    reason = StrictText(required=False, max_length=300, default="", help_text="Kept in the audit trail.")


def put(tenant: Tenant, kind: str, name: str, values: dict[str, Any], caller: Caller) -> Override:
    """Set an override from a whole body."""
    return overrides.set_limit(tenant, kind, name, **values, actor=caller.actor, created_by=caller.user)


def patch(tenant: Tenant, kind: str, name: str, values: dict[str, Any], caller: Caller, now: datetime) -> Override:
    """Set an override from what the present one (or the tier) says and the members that are given."""
    if not values:
        raise invalid("", "Say what to change.", "required")
    present = overrides.in_force(tenant, kind, name, now)
    merged: dict[str, Any] = {"limit": _present_limit(tenant, kind, name, now)}
    if present is not None:
        merged |= {"reason": present.reason, "mode": present.mode, "valid_until": present.valid_until}
    merged |= values
    if not merged.get("reason"):
        raise invalid("reason", "Say why; the trail keeps it.", "required")
    return put(tenant, kind, name, merged, caller)


def delete(tenant: Tenant, kind: str, name: str, reason: str, caller: Caller) -> None:
    """Go back to the tier's limit. Nothing to remove is no error."""
    overrides.clear(tenant, kind, name, actor=caller.actor, reason=reason)


def described(tenant: Tenant, effective: EffectiveLimit, rows: list[Override], now: datetime) -> dict[str, Any]:
    """The members of LimitSerializer. `rows` are the tenant's overrides that are not revoked."""
    own = [row for row in rows if row.kind == effective.kind and row.name == effective.name]
    present = next((row for row in own if row.pk == effective.override_id), None)
    return {
        "limit": effective.limit,
        "source": effective.source,
        "tier": tenant.tier.slug,
        "shadow": effective.shadow,
        "valid_until": effective.valid_until,
        "reason": effective.reason,
        "override": _override(present) if present else None,
        "scheduled": [_override(row) for row in sorted(own, key=lambda row: row.valid_from) if row.valid_from > now],
    }


def own_overrides(tenant: Tenant, kind: str) -> list[Override]:
    """The tenant's overrides of one kind that are not revoked."""
    return list(Override.objects.filter(tenant=tenant, kind=kind, revoked_at__isnull=True).order_by("valid_from", "id"))


def _override(row: Override) -> dict[str, Any]:
    return {
        "id": row.pk,
        "limit": row.limit,
        "mode": row.mode or None,
        "reason": row.reason,
        "valid_from": row.valid_from,
        "valid_until": row.valid_until,
        "created_at": row.created_at,
    }


def _present_limit(tenant: Tenant, kind: str, name: str, now: datetime) -> Decimal | int | None:
    policy = overrides.effective_policy(tenant, now)
    return policy.window(name).limit if kind == "rate_limit" else policy.quota(name).limit
