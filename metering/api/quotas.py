"""/tenants/{slug}/quotas[/{meter}]: what the tenant may use in its month, how much it has used, and overrides."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from metering.usage import queries
from tenants.api import limits
from tenants.api.documentation import example, operation
from tenants.api.fields import PlainNumber
from tenants.api.views import OPERATOR, TenantView
from tenants.limiting import overrides
from tenants.models import LimitKind, QuotaMode
from tenants.models.apikey import Scope
from tenants.problems import ProblemError

from ..models import Meter

TAGS = ["Limits"]


class QuotaSerializer(limits.LimitSerializer):
    """A quota and what is left of it. Amounts are in the meter's unit: calls, GPU hours, GB (10^9 bytes)."""

    meter = serializers.CharField()
    name = serializers.CharField()
    unit = serializers.CharField()
    mode = serializers.ChoiceField(
        choices=QuotaMode.choices, help_text="`hard` refuses above the limit, `soft` records the overage."
    )
    grace_percent = serializers.IntegerField(help_text="A hard quota refuses only above limit plus this.")
    used = PlainNumber(help_text="So far this month; for storage the level right now.")
    remaining = PlainNumber(allow_null=True, help_text="null when unlimited, 0 when used up.")
    percent = PlainNumber(allow_null=True)
    resets_at = serializers.DateTimeField(allow_null=True, help_text="Start of the tenant's next month.")


class QuotaListSerializer(serializers.Serializer[Any]):
    """All quotas."""

    results = QuotaSerializer(many=True)


_EXAMPLE = {
    "meter": "gpu_hours", "name": "GPU hours", "unit": "hour", "limit": 150, "source": "override", "tier": "standard", "mode": "hard",
    "grace_percent": 0, "shadow": False, "used": 61.5, "remaining": 88.5, "percent": 41, "resets_at": "2026-07-31T22:00:00Z",
    "valid_until": "2026-08-31T22:00:00Z", "reason": "Training of the mammography model", "scheduled": [],
    "override": {
        "id": 9, "limit": 150, "mode": None, "reason": "Training of the mammography model", "valid_from": "2026-07-10T08:00:00Z",
        "valid_until": "2026-08-31T22:00:00Z", "created_at": "2026-07-10T08:00:00Z",
    },
}  # fmt: skip
_BODY = {"limit": 150, "reason": "Training of the mammography model", "valid_until": "2026-08-31T22:00:00Z"}


class _Quotas(TenantView):
    """What the list and the single quota share."""

    def describe(self, *keys: str) -> list[dict[str, Any]]:
        """The quotas as QuotaSerializer shows them; all of them without `keys`."""
        now = timezone.now()
        policy = overrides.effective_policy(self.tenant, now)
        rows = limits.own_overrides(self.tenant, LimitKind.QUOTA)
        status = {each.meter: each for each in queries.quota_status(self.tenant, now)}
        meters = Meter.objects.filter(key__in=keys) if keys else Meter.objects.all()
        return [self._one(meter, policy.quota(meter.key), rows, status.get(meter.key), now) for meter in meters]

    def _one(
        self, meter: Meter, effective: Any, rows: Any, status: queries.QuotaStatus | None, now: datetime
    ) -> dict[str, Any]:
        return limits.described(self.tenant, effective, rows, now) | {
            "meter": meter.key,
            "name": meter.name,
            "unit": meter.display_unit,
            "mode": effective.mode,
            "grace_percent": effective.grace_percent,
            "used": status.used if status else 0,
            "remaining": None if status is None or status.left is None else max(status.left, 0),
            "percent": status.percent if status else None,
            "resets_at": status.resets_at if status else None,
        }


class QuotasView(_Quotas):
    """All quotas of the tenant."""

    needs = {"GET": Scope.QUOTA_READ}

    @operation(
        "quotas_list", "List quotas", answer=QuotaListSerializer, tags=TAGS, examples=[example("All quotas", {"results": [_EXAMPLE]})]
    )  # fmt: skip
    def get(self, request: Request, slug: str) -> Response:
        """The limits in force this month, where they come from, and what is used and left right now."""
        return Response(QuotaListSerializer({"results": self.describe()}).data)


class QuotaView(_Quotas):
    """One quota of the tenant."""

    needs = {"GET": Scope.QUOTA_READ, "PUT": OPERATOR, "PATCH": OPERATOR, "DELETE": OPERATOR}
    queries = {"DELETE": limits.ReasonQuery}

    def find_tenant(self, **kwargs: Any) -> None:
        super().find_tenant(**kwargs)
        if "\x00" in kwargs["meter"] or not Meter.objects.filter(key=kwargs["meter"]).exists():
            raise ProblemError("not_found")

    @operation(
        "quotas_retrieve",
        "Read a quota",
        answer=QuotaSerializer,
        tags=TAGS,
        examples=[example("Overridden for a while", _EXAMPLE)],
    )
    def get(self, request: Request, slug: str, meter: str) -> Response:
        """The limit in force, its source, and what is used and left right now."""
        return self._answer(meter)

    @operation(
        "quotas_set", "Override a quota", request=limits.QuotaOverrideSerializer, answer=QuotaSerializer, tags=TAGS,
        problems=["operator_required"], examples=[example("For a while", _BODY, request=True), example("In force", _EXAMPLE)],
    )  # fmt: skip
    def put(self, request: Request, slug: str, meter: str) -> Response:
        """For operators. In force on the next call; the tenant sees the reason."""
        limits.put(self.tenant, LimitKind.QUOTA, meter, self.body(limits.QuotaOverrideSerializer), self.caller)
        return self._answer(meter)

    @operation(
        "quotas_change", "Change a quota's override", request=limits.QuotaOverrideSerializer, answer=QuotaSerializer, tags=TAGS,
        problems=["operator_required"], examples=[example("Another amount", {"limit": 200, "reason": "The training takes longer"}, request=True)],
    )  # fmt: skip
    def patch(self, request: Request, slug: str, meter: str) -> Response:
        """For operators. Members that are left out keep what the present override (or the tier) says."""
        values = self.body(limits.QuotaOverrideSerializer, partial=True)
        limits.patch(self.tenant, LimitKind.QUOTA, meter, values, self.caller, timezone.now())
        return self._answer(meter)

    @operation(
        "quotas_clear", "Remove a quota's overrides", query=limits.ReasonQuery, status=204, tags=TAGS, problems=["operator_required"]
    )  # fmt: skip
    def delete(self, request: Request, slug: str, meter: str) -> Response:
        """For operators. The tier's quota is in force on the next call; overrides that would start later are removed too."""
        limits.delete(self.tenant, LimitKind.QUOTA, meter, self.params["reason"], self.caller)
        return Response(status=204)

    def _answer(self, meter: str) -> Response:
        return Response(QuotaSerializer(self.describe(meter)[0]).data)
