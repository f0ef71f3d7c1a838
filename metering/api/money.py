"""/tenants/{slug}/costs and /tenants/{slug}/budget. Amounts are decimal strings, never floating-point numbers."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from metering import budgets
from metering.costing import costs
from metering.finance import explorer, invoiced
from metering.ledger.event_parsing import OLDEST
from tenants import calendar, periods
from tenants.api.documentation import example, operation
from tenants.api.fields import StrictChoice, StrictDecimal, StrictEmail, StrictInteger, StrictList, StrictText, choices
from tenants.api.serializers import QuerySerializer, StrictSerializer
from tenants.api.views import TenantView
from tenants.models.apikey import Scope
from tenants.problems import FieldError, Invalid

from ..forecasting import Forecast
from ..models import BudgetAlert, Meter
from ..money import Money, plain, round_line
from ..pricing import Line, Quarantined, charge_name
from . import invoiced as of_invoices
from .finance import GroupSerializer, groups_of, meter_of

TAGS = ["Money"]
_MONTH = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])", re.ASCII)


class PeriodSerializer(serializers.Serializer[Any]):
    """A period of the tenant's calendar, half-open."""

    key = serializers.CharField()
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()


class CostLineSerializer(serializers.Serializer[Any]):
    """One line: rounded once, and able to say how it came about."""

    kind = serializers.ChoiceField(choices=["usage", "fee", "shortfall", "overage"])
    meter = serializers.CharField()
    name = serializers.CharField()
    dimension = serializers.CharField(help_text="Where a price is for one value of a dimension: its name.")
    value = serializers.CharField(help_text="And the value, such as a GPU model.")
    quantity = serializers.CharField()
    unit = serializers.CharField()
    unit_price = serializers.CharField(allow_null=True, help_text="null where the line has several.")
    amount = serializers.CharField()
    currency = serializers.CharField()
    explanation = serializers.ListField(child=serializers.CharField(), help_text="The arithmetic, step by step.")


class HeldSerializer(serializers.Serializer[Any]):
    """Usage that no price covers: it is on no bill until it has one, and never free."""

    meter = serializers.CharField()
    dimension = serializers.CharField()
    value = serializers.CharField()
    quantity = serializers.CharField()
    unit = serializers.CharField()
    reason = serializers.CharField()


class ProjectionSerializer(serializers.Serializer[Any]):
    """What the month will probably come to: a range, not a promise."""

    low = serializers.CharField(help_text="In one of ten such months it is less.")
    expected = serializers.CharField()
    high = serializers.CharField(help_text="In one of ten such months it is more.")
    quality = serializers.ChoiceField(choices=["good", "wide"], help_text="`wide`: fewer than 14 days are known.")


class CostsSerializer(serializers.Serializer[Any]):
    """The costs of a month, before tax. The total is the sum of the rounded lines."""

    tenant = serializers.CharField()
    month = serializers.CharField()
    period = PeriodSerializer()
    currency = serializers.CharField()
    lines = CostLineSerializer(many=True)
    not_priced = HeldSerializer(many=True, help_text="Held until it has a price; not in `total`.")
    total = serializers.CharField()
    as_of = serializers.DateTimeField()
    projection = ProjectionSerializer(
        allow_null=True, help_text="For the running month, once at least three days are known."
    )
    invoiced = of_invoices.InvoicedSerializer(
        allow_null=True, help_text="What the issued invoice of the month says, and why `total` may differ; null before."
    )
    groups = GroupSerializer(many=True, help_text="With `group_by`: the same costs by group; else empty.")


class CostsQuery(QuerySerializer):
    """Which month."""

    month = StrictText(
        required=False, max_length=7, help_text="YYYY-MM in the tenant's calendar; the running month when left out."
    )
    group_by = StrictChoice(
        choices=choices([each for each in explorer.GROUPS if each != "tenant"]),
        required=False,
        help_text="Adds `groups`: what each meter, model, day, project, user, key or route class cost.",
    )
    meter = StrictText(required=False, max_length=40, help_text="Groups of this meter only, with quantities.")


_LINE = {
    "kind": "usage", "meter": "gpu_hours", "name": "GPU hours", "dimension": "", "value": "", "quantity": "61.5", "unit": "GPU hour",
    "unit_price": "2.5", "amount": "153.75", "currency": "USD", "explanation": ["per unit: 61.5 × 2.5 = 153.75", "153.75 is USD 153.75 (v1)"],
}  # fmt: skip
_COSTS = {
    "tenant": "acme", "month": "2026-07", "currency": "USD", "lines": [_LINE], "not_priced": [], "total": "153.75", "as_of": "2026-07-15T12:00:00Z",
    "period": {"key": "2026-07", "start": "2026-06-30T22:00:00Z", "end": "2026-07-31T22:00:00Z"},
    "projection": {"low": "290.10", "expected": "317.80", "high": "349.00", "quality": "good"}, "invoiced": None, "groups": [],
}  # fmt: skip


class CostsView(TenantView):
    """What the tenant's usage costs."""

    needs = {"GET": Scope.COST_READ}
    queries = {"GET": CostsQuery}

    @operation(
        "costs_retrieve",
        "Read the costs of a month",
        query=CostsQuery,
        answer=CostsSerializer,
        tags=TAGS,
        examples=[example("A running month", _COSTS)],
    )
    def get(self, request: Request, slug: str) -> Response:
        """Lines and total so far, by the prices in force when it was used; for the running month with a projection."""
        now = timezone.now()
        running = costs.month_to_date(self.tenant, now)
        key = self.params.get("month", running.period.key)
        first = min(
            calendar.month_key(self.tenant.time_zone, self.tenant.created_at - OLDEST), periods.first_month(self.tenant)
        )
        if not _MONTH.fullmatch(key) or not first <= key <= running.period.key:
            raise Invalid(FieldError("?month", "invalid", f"Send a month from {first} to {running.period.key}."))
        statement = running if key == running.period.key else costs.statement(self.tenant, key, now)
        projection = costs.projection(self.tenant, now) if statement is running else None
        names = {meter.key: meter for meter in Meter.objects.all()}
        currency = statement.total.currency
        return Response(
            CostsSerializer(
                {
                    "tenant": self.tenant.slug,
                    "month": statement.period.key,
                    "period": statement.period,
                    "currency": currency,
                    "lines": [_line(line, names.get(line.meter)) for line in statement.lines],
                    "not_priced": [_held(each, names.get(each.meter)) for each in statement.quarantined],
                    "total": statement.total.decimal_string(),
                    "as_of": statement.as_of,
                    "projection": _projection(projection, currency),
                    "invoiced": self._invoiced(statement, now),
                    "groups": self._groups(statement.period.key, now),
                }
            ).data
        )

    def _invoiced(self, statement: costs.Statement, now: datetime) -> dict[str, Any] | None:
        today = {statement.currency: statement.total.amount}
        found = invoiced.compare([self.tenant], statement.period.key, now, today)
        return of_invoices.as_dict(found[0]) if found else None

    def _groups(self, month: str, now: datetime) -> list[dict[str, Any]]:
        if "group_by" not in self.params:
            return []
        found = explorer.explore([self.tenant], now, month, self.params["group_by"], meter=meter_of(self.params))
        return groups_of(found)


class BudgetAlertSerializer(serializers.Serializer[Any]):
    """A threshold that was crossed in this period."""

    percent = serializers.IntegerField()
    cost = serializers.CharField()
    crossed_at = serializers.DateTimeField()


class BudgetSerializer(serializers.Serializer[Any]):
    """The tenant's budget and how much of it is spent. `amount` is null while none is set."""

    amount = serializers.CharField(allow_null=True)
    currency = serializers.CharField()
    period = PeriodSerializer(allow_null=True)
    spent = serializers.CharField(allow_null=True)
    remaining = serializers.CharField(allow_null=True, help_text="Negative when the budget is exceeded.")
    percent = serializers.CharField(allow_null=True, help_text="The part of it that is spent.")
    measured = serializers.CharField(
        allow_null=True,
        help_text="What the thresholds look at: `spent`, or the likely cost of the period with the basis `forecast`.",
    )
    measured_percent = serializers.CharField(allow_null=True, help_text="`measured` as a part of the budget.")
    projected = serializers.CharField(allow_null=True, help_text="The expected cost of the whole period.")
    thresholds = serializers.ListField(
        child=serializers.IntegerField(), help_text="Percentages at which an e-mail is sent, once a period."
    )
    recipients = serializers.ListField(
        child=serializers.EmailField(), help_text="Empty: owners, admins and billing contacts."
    )
    alerts = BudgetAlertSerializer(many=True)


class BudgetBodySerializer(StrictSerializer):
    """The monthly budget to set, in the tenant's currency."""

    amount = StrictDecimal(max_digits=17, decimal_places=3, help_text="With the digits of the currency.")
    thresholds = StrictList(
        child=StrictInteger(min_value=1, max_value=1000),
        required=False,
        min_length=1,
        max_length=10,
        help_text="80, 90 and 100 when left out.",
    )
    recipients = StrictList(
        child=StrictEmail(max_length=254), required=False, max_length=20, help_text="As before when left out."
    )
    reason = StrictText(
        max_length=300, required=False, allow_blank=True, default="", help_text="Kept in the audit trail."
    )


_BUDGET = {
    "amount": "10000.00", "currency": "USD", "period": _COSTS["period"], "spent": "8012.40", "remaining": "1987.60", "percent": "80.12",
    "measured": "8012.40", "measured_percent": "80.12",
    "projected": "9950.00", "thresholds": [80, 90, 100], "recipients": ["finance@acme.example"],
    "alerts": [{"percent": 80, "cost": "8001.15", "crossed_at": "2026-07-14T16:20:00Z"}],
}  # fmt: skip


class BudgetView(TenantView):
    """The tenant's monthly budget."""

    needs = {"GET": Scope.BUDGET_READ, "PUT": Scope.BUDGET_WRITE}

    @operation(
        "budget_retrieve",
        "Read the budget",
        answer=BudgetSerializer,
        tags=TAGS,
        examples=[example("80 % reached", _BUDGET)],
    )
    def get(self, request: Request, slug: str) -> Response:
        """The primary budget, what is spent of it, and which thresholds this period has crossed."""
        return self._answer()

    @operation(
        "budget_set", "Set the budget", request=BudgetBodySerializer, answer=BudgetSerializer, tags=TAGS,
        examples=[example("Ten thousand", {"amount": "10000", "thresholds": [80, 90, 100], "recipients": ["finance@acme.example"]}, request=True)],
    )  # fmt: skip
    def put(self, request: Request, slug: str) -> Response:
        """Warnings go out at each threshold, once a period. Owners, admins and billing may set it."""
        values = self.body(BudgetBodySerializer)
        budgets.set_budget(
            self.tenant,
            values["amount"],
            values.get("thresholds", settings.BUDGET_THRESHOLDS),
            self.caller.actor,
            recipients=values.get("recipients"),
            reason=values["reason"],
        )
        return self._answer()

    def _answer(self) -> Response:
        found = next((each for each in budgets.status(self.tenant, timezone.now()) if each.budget.is_primary), None)
        return Response(BudgetSerializer(_budget(found) if found else _no_budget(budgets.billed_in(self.tenant))).data)


def _line(line: Line, meter: Meter | None) -> dict[str, Any]:
    price = line.unit_price
    return {
        "kind": line.kind,
        "meter": line.meter,
        "name": meter.name if meter else charge_name(line.meter),
        "dimension": line.dim_key,
        "value": line.dim_value,
        "quantity": plain(line.quantity),
        "unit": meter.billing_unit if meter else "",
        "unit_price": None if price is None else plain(price, 10),
        "amount": line.amount.decimal_string(),
        "currency": line.amount.currency,
        "explanation": line.explanation(),
    }


def _held(usage: Quarantined, meter: Meter | None) -> dict[str, str]:
    return {
        "meter": usage.meter,
        "dimension": usage.dim_key,
        "value": usage.dim_value,
        "quantity": plain(usage.quantity),
        "unit": meter.billing_unit if meter else "",
        "reason": usage.reason,
    }


def _projection(forecast: Forecast | None, currency: str) -> dict[str, str] | None:
    if forecast is None or forecast.end is None:
        return None
    end = forecast.end
    amounts = {"low": end.p10, "expected": end.p50, "high": end.p90}
    return {name: round_line(value, currency).decimal_string() for name, value in amounts.items()} | {
        "quality": "wide" if forecast.quality == "wide" else "good"
    }


def _budget(status: budgets.BudgetStatus) -> dict[str, Any]:
    thresholds = list(status.budget.thresholds.all())
    alerts = BudgetAlert.objects.filter(budget=status.budget, period_key=status.period.key).order_by("percent")
    return {
        "amount": status.amount.decimal_string(),
        "currency": status.amount.currency,
        "period": status.period,
        "spent": status.so_far.decimal_string(),
        "remaining": (status.amount - status.so_far).decimal_string(),
        "percent": f"{status.so_far_percent:f}",
        "measured": status.spent.decimal_string(),
        "measured_percent": f"{status.percent:f}",
        "projected": _money(status.projected),
        "thresholds": list(status.thresholds),
        "recipients": sorted({address for threshold in thresholds for address in threshold.recipients}),
        "alerts": [
            {"percent": each.percent, "cost": _in(each.currency, each.cost), "crossed_at": each.crossed_at}
            for each in alerts
        ],
    }


def _no_budget(currency: str) -> dict[str, Any]:
    nothing = dict.fromkeys(
        ("amount", "period", "spent", "remaining", "percent", "measured", "measured_percent", "projected")
    )
    return {**nothing, "currency": currency, "thresholds": [], "recipients": [], "alerts": []}


def _in(currency: str, amount: Decimal) -> str:
    """With the digits of the currency."""
    return round_line(amount, currency).decimal_string()


def _money(amount: Money | None) -> str | None:
    return None if amount is None else amount.decimal_string()
