"""/tenants/{slug}/usage: series of usage by hour, day or month, for one meter or all, split by a dimension; and the list of meters."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from metering import periods
from metering.usage import queries
from tenants.api.documentation import example, operation
from tenants.api.fields import (
    FIRST_YEAR,
    LAST_YEAR,
    StrictChoice,
    StrictText,
    choices,
    parse_date,
    parse_instant,
    plain,
)
from tenants.api.serializers import QuerySerializer
from tenants.api.views import ANYONE, ApiView, TenantView
from tenants.models import Membership, Role
from tenants.models.apikey import Scope
from tenants.problems import FieldError, Invalid

from ..models import Aggregation, Meter

TAGS = ["Usage"]
LONGEST = {"hour": timedelta(days=62), "day": timedelta(days=800), "month": timedelta(days=3700)}
_DIMENSION = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)


class UsageQuery(QuerySerializer):
    """What to show. Without `from` and `to`: the tenant's month so far."""

    meter = StrictText(required=False, max_length=40, help_text="Key of a meter; all meters when left out.")
    granularity = StrictChoice(
        choices=choices(LONGEST), required=False, default="day", help_text="Days and months are the tenant's own."
    )
    group_by = StrictText(
        required=False, max_length=40, help_text="A dimension, such as model, project, user or api_key."
    )

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        text = "A date (the tenant's local day{}) or an instant with time zone."
        return {
            **super().get_fields(),
            "from": StrictText(required=False, max_length=40, help_text=text.format("")),
            "to": StrictText(
                required=False,
                max_length=40,
                help_text=text.format(", included") + " An instant itself is not included.",
            ),
        }


class PointSerializer(serializers.Serializer[Any]):
    """Usage of one span."""

    meter = serializers.CharField()
    unit = serializers.CharField()
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    group = serializers.CharField(
        allow_null=True, help_text="Value of the dimension; empty where an event did not name it."
    )
    quantity = serializers.CharField(
        help_text="Decimal string in the meter's unit; for a level (storage) the level at the end of the span."
    )


class TotalSerializer(serializers.Serializer[Any]):
    """The sum of a meter's points; for a level, the last one."""

    meter = serializers.CharField()
    unit = serializers.CharField()
    quantity = serializers.CharField()


class UsageSerializer(serializers.Serializer[Any]):
    """A series of usage. Spans are half-open: start is included, end is not."""

    tenant = serializers.CharField()
    time_zone = serializers.CharField()
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    granularity = serializers.ChoiceField(choices=list(LONGEST))
    group_by = serializers.CharField(allow_null=True)
    totals = TotalSerializer(many=True)
    results = PointSerializer(many=True)


_EXAMPLE = {
    "tenant": "acme", "time_zone": "Europe/Zurich", "start": "2026-06-30T22:00:00Z", "end": "2026-07-02T22:00:00Z", "granularity": "day",
    "group_by": "model", "totals": [{"meter": "gpu_hours", "unit": "hour", "quantity": "12.5"}],
    "results": [
        {"meter": "gpu_hours", "unit": "hour", "start": "2026-06-30T22:00:00Z", "end": "2026-07-01T22:00:00Z", "group": "H100", "quantity": "4"},
        {"meter": "gpu_hours", "unit": "hour", "start": "2026-07-01T22:00:00Z", "end": "2026-07-02T22:00:00Z", "group": "H100", "quantity": "8.5"},
    ],
}  # fmt: skip


class UsageView(TenantView):
    """The usage of the tenant."""

    needs = {"GET": Scope.USAGE_READ}
    queries = {"GET": UsageQuery}

    @operation(
        "usage_retrieve",
        "Read usage",
        query=UsageQuery,
        answer=UsageSerializer,
        tags=TAGS,
        examples=[example("Two days by GPU model", _EXAMPLE)],
    )
    def get(self, request: Request, slug: str) -> Response:
        """From hourly rollups, some seconds old. At most 62 days by hour, 800 by day and 10 years by month. A member sees their own usage."""
        granularity, group_by = self.params["granularity"], self._group_by()
        start, end = self._span(timezone.now(), granularity)
        meters = self._meters()
        own = self._only_of()
        points = {
            meter.key: queries.usage_series(self.tenant, meter.key, start, end, granularity, group_by, membership=own)
            for meter in meters
        }
        return Response(
            UsageSerializer(
                {
                    "tenant": self.tenant.slug,
                    "time_zone": self.tenant.time_zone,
                    "start": start,
                    "end": end,
                    "granularity": granularity,
                    "group_by": group_by,
                    "totals": [_total(meter, points[meter.key]) for meter in meters],
                    "results": [_point(meter, point) for meter in meters for point in points[meter.key]],
                }
            ).data
        )

    def _meters(self) -> list[Meter]:
        key = self.params.get("meter")
        meters = list(Meter.objects.filter(key=key) if key is not None else Meter.objects.all())
        if not meters:
            known = ", ".join(Meter.objects.values_list("key", flat=True))
            raise Invalid(FieldError("?meter", "unknown", f"There is no such meter. Choose {known}."))
        return meters

    def _group_by(self) -> str | None:
        group_by = self.params.get("group_by")
        if group_by is not None and not _DIMENSION.fullmatch(group_by):
            raise Invalid(FieldError("?group_by", "invalid", "A dimension's name is lower-case letters, digits and _."))
        return group_by

    def _span(self, now: datetime, granularity: str) -> tuple[datetime, datetime]:
        zone = self.tenant.time_zone
        start = self._edge("from", first=True) or periods.period_at(zone, now, "month").start
        end = self._edge("to", first=False) or max(now, start)
        if end <= start and ("from" in self.params or "to" in self.params):
            raise Invalid(FieldError("?to", "out_of_order", "The span ends before it starts."))
        if end - start > LONGEST[granularity]:
            days = LONGEST[granularity].days
            raise Invalid(FieldError("?from", "too_long", f"By {granularity}, at most {days} days at once."))
        return start, end

    def _edge(self, name: str, *, first: bool) -> datetime | None:
        text = self.params.get(name)
        if text is None:
            return None
        day = parse_date(text)
        instant = parse_instant(text) if day is None else None
        year = (day or instant).year if day or instant else 0  # type: ignore[union-attr]
        if not year:
            told = "Send a date, such as 2026-07-01, or an instant, such as 2026-07-01T00:00:00Z."
            raise Invalid(FieldError(f"?{name}", "invalid", told))
        if not FIRST_YEAR <= year <= LAST_YEAR:
            told = f"There is no usage outside the years {FIRST_YEAR} to {LAST_YEAR}."
            raise Invalid(FieldError(f"?{name}", "out_of_range", told))
        if day is None:
            return instant
        local = periods.day_period(self.tenant.time_zone, day)
        return local.start if first else local.end

    def _only_of(self) -> Membership | None:
        """A member sees their own usage only, by session and by key."""
        member = self.acting_membership()
        return member if member is not None and member.role == Role.MEMBER else None


class MeterSerializer(serializers.ModelSerializer[Meter]):
    """Something that is counted."""

    unit = serializers.CharField(source="display_unit", help_text="Of usage and quotas.")
    event_types = serializers.DictField(
        child=serializers.IntegerField(), help_text="Event types, and how many base units one of each is."
    )

    class Meta:
        model = Meter
        fields = ["key", "name", "aggregation", "unit", "billing_unit", "base_unit", "event_types"]
        read_only_fields = fields


class MeterListSerializer(serializers.Serializer[Any]):
    """All meters."""

    results = MeterSerializer(many=True)


class MetersView(ApiView):
    """What is counted."""

    needs = {"GET": ANYONE}

    @operation("meters_list", "List meters", answer=MeterListSerializer, tags=TAGS, of_tenant=False)
    def get(self, request: Request) -> Response:
        """The meters, their units, and the event types that they understand."""
        return Response(MeterListSerializer({"results": Meter.objects.all()}).data)


def _point(meter: Meter, point: queries.Point) -> dict[str, Any]:
    return {
        "meter": meter.key,
        "unit": meter.display_unit,
        "start": point.start,
        "end": point.end,
        "group": point.group,
        "quantity": _text(point.quantity),
    }


def _total(meter: Meter, points: list[queries.Point]) -> dict[str, Any]:
    if meter.aggregation == Aggregation.LEVEL:
        last: dict[str | None, queries.Point] = {}
        for point in points:
            if point.group not in last or last[point.group].start < point.start:
                last[point.group] = point
        quantity = sum((point.quantity for point in last.values()), Decimal(0))
    else:
        quantity = sum((point.quantity for point in points), Decimal(0))
    return {"meter": meter.key, "unit": meter.display_unit, "quantity": _text(quantity)}


def _text(quantity: Decimal) -> str:
    return plain(quantity)
