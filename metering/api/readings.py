"""/tenants/{slug}/readings: the ledger's entries behind usage and behind the lines of invoices."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from metering.ledger import evidence
from tenants.api.documentation import operation
from tenants.api.fields import StrictText, parse_instant
from tenants.api.serializers import QuerySerializer
from tenants.api.views import TenantView
from tenants.models.apikey import Scope
from tenants.problems import FieldError, Invalid, ProblemError

from ..models import Meter

LONGEST = timedelta(days=2)


class ReadingsQuery(QuerySerializer):
    """Which readings: at most two days at once."""

    meter = StrictText(max_length=40)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        instant = "An instant with time zone, such as 2026-07-01T00:00:00Z."
        return {
            **super().get_fields(),
            "from": StrictText(max_length=40, help_text=instant),
            "to": StrictText(max_length=40, help_text=instant),
        }


class ReadingSerializer(serializers.Serializer[Any]):
    """A ledger entry, as it was reported."""

    time = serializers.DateTimeField()
    source = serializers.CharField()  # type: ignore[assignment]
    id = serializers.CharField()
    quantity_micro = serializers.CharField(help_text="In millionths of the meter's base unit.")
    dims = serializers.DictField()
    corrects = serializers.DictField(allow_null=True)
    received_at = serializers.DateTimeField()


class ReadingsSerializer(serializers.Serializer[Any]):
    """The ledger's entries of a span, oldest first, at most 1,000; and the calls that enforcement counted in it."""

    results = ReadingSerializer(many=True)
    calls = serializers.ListField(child=serializers.DictField())
    more = serializers.BooleanField(help_text="There are more: ask for a shorter span.")


class ReadingsView(TenantView):
    """The ledger behind the usage."""

    needs = {"GET": Scope.USAGE_READ}
    queries = {"GET": ReadingsQuery}

    @operation("readings_list", "Read ledger entries", query=ReadingsQuery, answer=ReadingsSerializer, tags=["Usage"])
    def get(self, request: Request, slug: str) -> Response:
        """What producers and collectors reported in a span of at most two days. Not for members, whose usage is only a part of it."""
        member = self.acting_membership()
        if member is not None and member.role == "member":
            raise ProblemError("permission_denied", "Your role shows your own usage only; ask an admin for the ledger.")
        meter = self.params["meter"]
        if not Meter.objects.filter(key=meter).exists():
            raise Invalid(FieldError("?meter", "unknown", "There is no such meter. /api/v1/meters lists them."))
        edges = [parse_instant(self.params[name]) for name in ("from", "to")]
        start, end = edges
        if start is None or end is None:
            name = "from" if start is None else "to"
            raise Invalid(FieldError(f"?{name}", "invalid", "Send an instant, such as 2026-07-01T00:00:00Z."))
        if not start < end <= start + LONGEST:
            raise Invalid(FieldError("?to", "too_long", "Ask for a span of more than nothing and at most two days."))
        found = evidence.readings(self.tenant, meter, start, end, 1001)
        counts = evidence.call_counts(self.tenant, start, end) if meter == evidence.CALLS else []
        calls = [
            {"hour": each.hour, "api_key": each.key_id, "route_class": each.route_class, "calls": each.calls}
            for each in counts
        ]
        results = [evidence.as_dict(reading) for reading in found[:1000]]
        return Response(ReadingsSerializer({"results": results, "calls": calls, "more": len(found) > 1000}).data)
