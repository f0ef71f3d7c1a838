"""/tenants/{slug}/anomalies and /anomalies: days whose cost was out of the ordinary, as the mails and webhooks told them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.api.documentation import example, operation, page_of
from tenants.api.fields import StrictChoice, StrictText, choices
from tenants.api.serializers import PageQuery
from tenants.api.views import OPERATOR, ApiView, TenantView
from tenants.models import Tenant
from tenants.models.apikey import Scope
from tenants.problems import FieldError, Invalid

from ..models import SpendAnomaly
from ..models.anomaly import AnomalyDirection
from ..money import Money

TAGS = ["Money"]


class AnomalyShape(serializers.Serializer[Any]):
    """A day of the tenant's calendar that cost more or less than is ordinary for this tenant and weekday, before tax."""

    id = serializers.CharField()
    tenant = serializers.CharField()
    day = serializers.DateField()
    direction = serializers.ChoiceField(choices=AnomalyDirection.choices)
    currency = serializers.CharField()
    cost = serializers.CharField(help_text="Of usage; fees and minimums belong to no day.")
    expected = serializers.CharField()
    low = serializers.CharField(
        help_text="The ordinary range of that weekday, as it was known when the day was judged."
    )
    high = serializers.CharField()
    meter = serializers.CharField(help_text="The meter that changed most.")
    detected_at = serializers.DateTimeField()


class AnomalySerializer(serializers.BaseSerializer[Any]):
    """An anomaly of a list."""

    def to_representation(self, instance: SpendAnomaly) -> dict[str, Any]:
        return {
            "id": str(instance.public_id),
            "tenant": instance.tenant.slug,
            "day": instance.day.isoformat(),
            "direction": instance.direction,
            "currency": instance.currency,
            **{
                name: Money(getattr(instance, name), instance.currency).decimal_string()
                for name in ("cost", "expected", "low", "high")
            },
            "meter": instance.meter,
            "detected_at": instance.detected_at,
        }


class AnomaliesQuery(PageQuery):
    """Which days."""

    direction = StrictChoice(choices=choices(AnomalyDirection.values), required=False)


class PlatformAnomaliesQuery(AnomaliesQuery):
    """Which days of whom."""

    tenant = StrictText(required=False, max_length=40, help_text="Only this tenant.")


_ANOMALY = {
    "id": "4b1f6f0e-0f0e-4a53-8f3e-1f6a3d3c2b1a", "tenant": "acme", "day": "2026-07-14", "direction": "high", "currency": "USD", "cost": "412.50",
    "expected": "141.00", "low": "98.20", "high": "183.80", "meter": "gpu_hours", "detected_at": "2026-07-15T06:10:00Z",
}  # fmt: skip
_PAGE_OF_THEM = page_of(AnomalyShape)
_PAGE = {"count": 1, "next": None, "previous": None, "results": [_ANOMALY]}


class AnomaliesView(TenantView):
    """The tenant's unusual days."""

    needs = {"GET": Scope.COST_READ}
    queries = {"GET": AnomaliesQuery}

    @operation("anomalies_list", "List unusual days", query=AnomaliesQuery, answer=_PAGE_OF_THEM, tags=TAGS, examples=[example("A dear day", _PAGE)])  # fmt: skip
    def get(self, request: Request, slug: str) -> Response:
        """Newest first. A day is judged once, six hours after it is over; at most one false alarm in 100 days is promised."""
        rows = SpendAnomaly.objects.filter(tenant=self.tenant)
        return self.page(_asked(rows, self.params), AnomalySerializer)


class PlatformAnomaliesView(ApiView):
    """Everybody's unusual days."""

    needs = {"GET": OPERATOR}
    queries = {"GET": PlatformAnomaliesQuery}

    @operation("platform_anomalies_list", "List unusual days of all tenants", query=PlatformAnomaliesQuery, answer=_PAGE_OF_THEM, tags=TAGS, of_tenant=False, examples=[example("A dear day", _PAGE)], problems=["operator_required"])  # fmt: skip
    def get(self, request: Request) -> Response:
        """Newest first. For platform operators and support."""
        slug = self.params.get("tenant")
        rows = SpendAnomaly.objects.all()
        if slug is not None:
            if not Tenant.objects.filter(slug=slug).exists():
                raise Invalid(FieldError("?tenant", "unknown", "There is no such tenant."))
            rows = rows.filter(tenant__slug=slug)
        return self.page(_asked(rows, self.params), AnomalySerializer)


def _asked(rows: QuerySet[SpendAnomaly], params: Mapping[str, Any]) -> QuerySet[SpendAnomaly]:
    """The days of the direction that was asked for, newest first, with their tenant."""
    found = rows.select_related("tenant").order_by("-day", "-id")
    return found.filter(direction=params["direction"]) if "direction" in params else found
