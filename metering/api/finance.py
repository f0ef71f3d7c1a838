"""Forecasts, the cost explorer over all tenants, revenue, and FOCUS files. Amounts are decimal strings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from metering.finance import explorer, invoiced, revenue
from metering.finance.outlook import BudgetOutlook, MeterOutlook, outlook
from tenants import calendar
from tenants.api.documentation import example, operation
from tenants.api.fields import StrictChoice, StrictText, choices
from tenants.api.serializers import QuerySerializer
from tenants.api.views import OPERATOR, ApiView, TenantView
from tenants.database import replica
from tenants.models import Tenant
from tenants.models.apikey import Scope
from tenants.problems import FieldError, Invalid

from ..focus import export
from ..forecasting import Forecast
from ..models import Meter
from ..money import Money, plain
from . import invoiced as of_invoices
from .ranges import ExceedsSerializer, RangeSerializer, exceeds_of, number_of, range_of

TAGS = ["Money"]
_MONTH = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])", re.ASCII)
_OLDEST = "2000-01"


def month_of(params: Mapping[str, Any], zone: str, now: datetime) -> str:
    """?month=YYYY-MM, the present month of the zone without one. Raises Invalid for another form or one that has not begun."""
    present = calendar.month_key(zone, now)
    key: str = params.get("month", present)
    if not _MONTH.fullmatch(key) or not _OLDEST <= key <= present:
        raise Invalid(FieldError("?month", "invalid", f"Send a month up to {present}, such as {present}."))
    return key


# -------------------------------------------------------------------------------------------------------------- forecast


class ForecastPartSerializer(serializers.Serializer[Any]):
    """A forecast. `end` is null while fewer than three days are known."""

    so_far = serializers.CharField()
    end = RangeSerializer(allow_null=True)
    quality = serializers.ChoiceField(
        choices=["none", "wide", "good"], help_text="`none` under 3 days of history, `wide` under 14."
    )
    known_days = serializers.IntegerField()


class MeterForecastSerializer(ForecastPartSerializer):
    """A meter's usage in its display unit; for a level (storage) the level."""

    meter = serializers.CharField()
    unit = serializers.CharField()
    quota = serializers.CharField(allow_null=True, help_text="null: unlimited.")
    exceeds = ExceedsSerializer(allow_null=True)


class BudgetForecastSerializer(serializers.Serializer[Any]):
    """A budget, of the whole cost, a meter or a project, at the end of its month or quarter. `end` is null under three days of history."""

    name = serializers.CharField()
    amount = serializers.CharField()
    currency = serializers.CharField()
    spent = serializers.CharField()
    end = RangeSerializer(allow_null=True)
    exceeds = ExceedsSerializer(allow_null=True)


class ForecastSerializer(serializers.Serializer[Any]):
    """Where the present month is heading."""

    tenant = serializers.CharField()
    month = serializers.CharField()
    currency = serializers.CharField()
    as_of = serializers.DateTimeField()
    cost = ForecastPartSerializer()
    meters = MeterForecastSerializer(many=True)
    budgets = BudgetForecastSerializer(many=True)


_RANGE = {"p10": "290.10", "p50": "317.80", "p90": "349.00"}
_FORECAST = {
    "tenant": "acme", "month": "2026-07", "currency": "USD", "as_of": "2026-07-15T12:00:00Z",
    "cost": {"so_far": "153.75", "end": _RANGE, "quality": "good", "known_days": 91},
    "meters": [{
        "meter": "gpu_hours", "unit": "hour", "so_far": "61.5", "end": {"p10": "116", "p50": "127.1", "p90": "139.6"}, "quality": "good",
        "known_days": 91, "quota": "120", "exceeds": {"already": False, "earliest": "2026-07-27", "expected": "2026-07-30", "latest": None},
    }],
    "budgets": [{
        "name": "Monthly budget", "amount": "330.00", "currency": "USD", "spent": "153.75", "end": _RANGE,
        "exceeds": {"already": False, "earliest": "2026-07-30", "expected": None, "latest": None},
    }],
}  # fmt: skip


class ForecastView(TenantView):
    """The month's end, before it is there."""

    needs = {"GET": Scope.COST_READ}

    @operation("forecast_retrieve", "Read the forecast", answer=ForecastSerializer, tags=TAGS, examples=[example("In the middle of a month", _FORECAST)])  # fmt: skip
    def get(self, request: Request, slug: str) -> Response:
        """Cost and usage at the month's end as ranges, and the day on which each quota and budget is passed."""
        now = timezone.now()
        found = outlook(self.tenant, now)
        meters = {meter.key: meter for meter in Meter.objects.all()}
        currency = self.tenant.currency
        return Response(
            {
                "tenant": self.tenant.slug,
                "month": calendar.month_key(self.tenant.time_zone, now),
                "currency": currency,
                "as_of": now,
                "cost": _part(found.cost, currency),
                "meters": [_meter(each, meters[each.meter]) for each in found.meters],
                "budgets": [_budget(each) for each in found.budgets],
            }
        )


def _part(forecast: Forecast, currency: str = "") -> dict[str, Any]:
    return {
        "so_far": number_of(forecast.so_far, currency),
        "end": range_of(forecast, currency),
        "quality": forecast.quality,
        "known_days": forecast.known_days,
    }


def _meter(each: MeterOutlook, meter: Meter) -> dict[str, Any]:
    limit = each.quota.limit
    return {
        "meter": each.meter,
        "unit": meter.display_unit,
        **_part(each.forecast),
        "quota": None if limit is None else plain(limit),
        "exceeds": exceeds_of(each.exceeds),
    }


def _budget(each: BudgetOutlook) -> dict[str, Any]:
    status = each.status
    return {
        "name": status.budget.name,
        "amount": status.amount.decimal_string(),
        "currency": status.amount.currency,
        "spent": status.spent.decimal_string(),
        "end": range_of(each.forecast, status.amount.currency),
        "exceeds": exceeds_of(each.exceeds),
    }


# -------------------------------------------------------------------------------------------------------------- explorer


class MonthQuery(QuerySerializer):
    """Which month."""

    month = StrictText(required=False, max_length=7, help_text="YYYY-MM; the running month when left out.")


class PlatformCostsQuery(MonthQuery):
    """What to show of whom."""

    group_by = StrictChoice(choices=choices(explorer.GROUPS), required=False, default="tenant")
    meter = StrictText(required=False, max_length=40, help_text="Only this meter's lines; then quantities are there.")
    tenant = StrictText(required=False, max_length=40, help_text="Only this tenant.")


class GroupSerializer(serializers.Serializer[Any]):
    """What a group cost, before tax. Groups add up to the bills, by currency."""

    group = serializers.CharField(help_text="Empty for what does not name the dimension.")
    label = serializers.CharField()  # type: ignore[assignment]
    currency = serializers.CharField()
    amount = serializers.CharField()
    before = serializers.CharField(help_text="The whole month before; for days the same day of it.")
    quantity = serializers.CharField(allow_null=True, help_text="In billing units; null unless one meter is asked for.")


class PlatformCostsSerializer(serializers.Serializer[Any]):
    """A month's costs by group."""

    month = serializers.CharField()
    previous = serializers.CharField()
    group_by = serializers.ChoiceField(choices=list(explorer.GROUPS))
    groups = GroupSerializer(many=True)
    invoiced = of_invoices.InvoicedSerializer(
        many=True,
        help_text="By currency, what issued invoices of the month say, and why the groups may add up to something else.",
    )


_GROUP = {
    "group": "H100",
    "label": "H100",
    "currency": "USD",
    "amount": "153.75",
    "before": "141.00",
    "quantity": "61.5",
}
_GROUPS = {
    "month": "2026-07",
    "previous": "2026-06",
    "group_by": "model",
    "groups": [_GROUP],
    "invoiced": [of_invoices.INVOICED],
}


def meter_of(params: Mapping[str, Any]) -> str:
    """?meter=, checked. Raises Invalid for one that does not exist."""
    meter: str = params.get("meter", "")
    if meter and not Meter.objects.filter(key=meter).exists():
        raise Invalid(FieldError("?meter", "unknown", "There is no such meter. /api/v1/meters lists them."))
    return meter


def groups_of(found: explorer.Exploration) -> list[dict[str, Any]]:
    """The entries as GroupSerializer says."""
    return [
        {
            "group": each.group,
            "label": each.label,
            "currency": each.currency,
            "amount": Money(each.amount, each.currency).decimal_string(),
            "before": Money(each.before, each.currency).decimal_string(),
            "quantity": None if each.quantity is None else plain(each.quantity),
        }
        for each in found.entries
    ]


class PlatformCostsView(ApiView):
    """The cost explorer over all tenants."""

    needs = {"GET": OPERATOR}
    queries = {"GET": PlatformCostsQuery}

    @operation("platform_costs_retrieve", "Explore costs of all tenants", query=PlatformCostsQuery, answer=PlatformCostsSerializer, tags=TAGS, of_tenant=False, examples=[example("By GPU model", _GROUPS)], problems=["permission_denied"])  # fmt: skip
    def get(self, request: Request) -> Response:
        """Each tenant's own month, before tax, beside the month before. For platform operators and support."""
        now = timezone.now()
        month, meter = month_of(self.params, "Pacific/Kiritimati", now), meter_of(self.params)
        if "month" not in self.params:
            month = calendar.month_key("UTC", now)
        tenants = list(self._tenants())
        found, as_of = replica.read(lambda: explorer.explore(tenants, now, month, self.params["group_by"], meter=meter))
        today = {currency: amount for currency, (amount, _before) in found.totals().items()}
        return Response(
            {
                "month": found.month,
                "previous": found.previous,
                "group_by": found.group_by,
                "groups": groups_of(found),
                "invoiced": [
                    of_invoices.as_dict(each) for each in invoiced.compare(tenants, month, now, today, meter=meter)
                ],
            },
            headers=replica.headers(as_of),
        )

    def _tenants(self) -> Iterable[Tenant]:
        everyone = Tenant.objects.select_related("tier").order_by("slug")
        if "tenant" not in self.params:
            return everyone
        chosen = everyone.filter(slug=self.params["tenant"])
        if not chosen:
            raise Invalid(FieldError("?tenant", "unknown", "There is no such tenant."))
        return chosen


# --------------------------------------------------------------------------------------------------------------- revenue


class RevenueSerializer(serializers.Serializer[Any]):
    """A month's revenue in one currency, before tax: invoiced + not yet invoiced − credited."""

    month = serializers.CharField()
    currency = serializers.CharField()
    invoiced = serializers.CharField()
    open = serializers.CharField(help_text="Used and not invoiced yet.")
    credited = serializers.CharField()
    total = serializers.CharField()
    calls = serializers.CharField()
    inferences = serializers.CharField(help_text="Calls of the route class ml.")
    per_call = serializers.CharField(allow_null=True)
    per_inference = serializers.CharField(allow_null=True)


class RevenueListSerializer(serializers.Serializer[Any]):
    """The last twelve months, oldest first."""

    results = RevenueSerializer(many=True)


_REVENUE = {
    "month": "2026-07", "currency": "USD", "invoiced": "810.16", "open": "0.00", "credited": "10.00", "total": "800.16", "calls": "400000",
    "inferences": "80000", "per_call": "0.0020", "per_inference": "0.010002",
}  # fmt: skip


class RevenueView(ApiView):
    """Revenue by month."""

    needs = {"GET": OPERATOR}

    @operation("revenue_list", "Read revenue by month", answer=RevenueListSerializer, tags=TAGS, of_tenant=False, examples=[example("One month", {"results": [_REVENUE]})], problems=["permission_denied"])  # fmt: skip
    def get(self, request: Request) -> Response:
        """The last twelve months, and what a call and an inference brought in each. For platform operators and support."""
        found, as_of = replica.read(lambda: revenue.months(list(Tenant.objects.select_related("tier")), timezone.now()))
        return Response({"results": [_revenue(month) for month in found]}, headers=replica.headers(as_of))


def _revenue(month: revenue.Month) -> dict[str, Any]:
    amounts = {"invoiced": month.invoiced, "open": month.open, "credited": month.credited, "total": month.total}
    return {
        "month": month.key,
        "currency": month.currency,
        **{name: Money(amount, month.currency).decimal_string() for name, amount in amounts.items()},
        "calls": plain(month.calls),
        "inferences": plain(month.inferences),
        "per_call": None if month.per_call is None else f"{month.per_call:f}",
        "per_inference": None if month.per_inference is None else f"{month.per_inference:f}",
    }


# ----------------------------------------------------------------------------------------------------------------- FOCUS


class TenantFocusView(TenantView):
    """A tenant's bill as FOCUS."""

    needs = {"GET": Scope.COST_READ}
    queries = {"GET": MonthQuery}

    @operation(
        "focus_retrieve",
        "Download FOCUS data",
        query=MonthQuery,
        answer=OpenApiTypes.BINARY,
        media_type="text/csv",
        tags=TAGS,
    )
    def get(self, request: Request, slug: str) -> HttpResponse:
        """The month's bill as FOCUS 1.2 CSV: the invoice once it is issued, else what is used so far, before tax."""
        now = timezone.now()
        month = month_of(self.params, self.tenant.time_zone, now)
        body = "".join(export.csv(month, now, [self.tenant]))
        return _as_file(HttpResponse(body, content_type="text/csv; charset=utf-8"), f"{slug}-focus-{month}.csv")


class PlatformFocusView(ApiView):
    """Everybody's bills as FOCUS."""

    needs = {"GET": OPERATOR}
    queries = {"GET": MonthQuery}

    @operation("platform_focus_retrieve", "Download FOCUS data of all tenants", query=MonthQuery, answer=OpenApiTypes.BINARY, media_type="text/csv", tags=TAGS, of_tenant=False, problems=["permission_denied"])  # fmt: skip
    def get(self, request: Request) -> StreamingHttpResponse:
        """Every tenant's month as FOCUS 1.2 CSV, streamed. For platform operators and support."""
        now = timezone.now()
        month = month_of(self.params, "Pacific/Kiritimati", now)
        rows = export.csv(month, now)
        return _as_file(StreamingHttpResponse(rows, content_type="text/csv; charset=utf-8"), f"focus-{month}.csv")


def _as_file(response: Any, filename: str) -> Any:
    response["Content-Disposition"] = f'attachment; filename="{filename}"'
    response["Cache-Control"] = "private, no-store"
    return response
