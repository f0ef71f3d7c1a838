"""/tenants/{slug}/budgets: several budgets with their thresholds, recipients and actions; mute and acknowledge."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from tenants.api.documentation import example, operation
from tenants.api.fields import (
    StrictChoice,
    StrictDecimal,
    StrictEmail,
    StrictInstant,
    StrictInteger,
    StrictList,
    StrictText,
)
from tenants.api.serializers import StrictSerializer
from tenants.api.views import TenantView
from tenants.limiting import blocks
from tenants.models.apikey import Scope
from tenants.problems import ProblemError

from .. import budgets
from ..budgets.plan import MOST_PERCENT, MOST_RECIPIENTS, MOST_THRESHOLDS, Plan, Step
from ..models import Budget, BudgetAction, BudgetAlert, BudgetBasis, BudgetPeriod, BudgetScope
from ..money import round_line
from .money import PeriodSerializer
from .ranges import ExceedsSerializer, RangeSerializer, exceeds_of, range_of

TAGS = ["Budgets"]


class StepSerializer(StrictSerializer):
    """A threshold: whom it tells, and what it does."""

    percent = StrictInteger(min_value=1, max_value=MOST_PERCENT)
    action = StrictChoice(
        choices=BudgetAction.choices, required=False, default=BudgetAction.NOTIFY.value,
        help_text="Besides telling: `throttle` to a tenth of the rate limits, `block_gpu` new GPU reservations, `block` calls (402 `budget_exhausted`).",
    )  # fmt: skip
    recipients = StrictList(
        child=StrictEmail(max_length=254), required=False, default=list, max_length=MOST_RECIPIENTS,
        help_text="Empty: owners, admins and billing contacts.",
    )  # fmt: skip


class AlertSerializer(serializers.Serializer[Any]):
    """A threshold that was crossed in this period."""

    id = serializers.IntegerField()
    percent = serializers.IntegerField()
    cost = serializers.CharField(help_text="`measured` when it was crossed.")
    amount = serializers.CharField()
    action = serializers.CharField(help_text="What was done because of it.")
    crossed_at = serializers.DateTimeField()
    back_under_at = serializers.DateTimeField(allow_null=True)
    acknowledged_at = serializers.DateTimeField(allow_null=True)
    acknowledged_by = serializers.CharField()
    note = serializers.CharField()


class BudgetDetailSerializer(serializers.Serializer[Any]):
    """A budget and how much of it is spent. Amounts are null when it cannot be compared with the cost (another currency)."""

    id = serializers.CharField()
    name = serializers.CharField()
    is_primary = serializers.BooleanField(help_text="The one of `/budget`.")
    period_kind = serializers.ChoiceField(choices=BudgetPeriod.choices)
    scope = serializers.ChoiceField(choices=BudgetScope.choices)
    scope_value = serializers.CharField()
    basis = serializers.ChoiceField(choices=BudgetBasis.choices)
    amount = serializers.CharField()
    percent_of_last = serializers.IntegerField(allow_null=True)
    floor = serializers.CharField(allow_null=True)
    currency = serializers.CharField()
    thresholds = StepSerializer(many=True)
    muted_until = serializers.DateTimeField(allow_null=True)
    period = PeriodSerializer(allow_null=True)
    spent = serializers.CharField(allow_null=True)
    remaining = serializers.CharField(allow_null=True, help_text="Negative when the budget is exceeded.")
    percent = serializers.CharField(allow_null=True, help_text="The part of it that is spent.")
    measured = serializers.CharField(
        allow_null=True,
        help_text="What the thresholds look at: `spent`, or the likely cost of the period with the basis `forecast`.",
    )
    measured_percent = serializers.CharField(allow_null=True, help_text="`measured` as a part of the budget.")
    projected = serializers.CharField(
        allow_null=True, help_text="The likely cost at the end of the period; null under three days of history."
    )
    forecast = RangeSerializer(allow_null=True)
    quality = serializers.ChoiceField(
        choices=["none", "wide", "good"], help_text="none: under three days of history; wide: under two weeks."
    )
    exceeds = ExceedsSerializer(allow_null=True)
    in_force = serializers.ListField(
        child=serializers.CharField(), help_text="Actions of this budget that are in force now."
    )
    alerts = AlertSerializer(many=True)


class BudgetListSerializer(serializers.Serializer[Any]):
    """The tenant's budgets, the primary one first."""

    budgets = BudgetDetailSerializer(many=True)


class _PlanFields(StrictSerializer):
    amount = StrictDecimal(
        max_digits=17,
        decimal_places=3,
        required=False,
        allow_null=True,
        help_text="A fixed amount, in the currency of the prices.",
    )
    percent_of_last = StrictInteger(
        min_value=1, max_value=MOST_PERCENT, required=False, allow_null=True,
        help_text="Instead: a share of what the period before has cost, worked out once a period.",
    )  # fmt: skip
    floor = StrictDecimal(
        max_digits=17,
        decimal_places=3,
        required=False,
        allow_null=True,
        help_text="With `percent_of_last`: at least this much.",
    )
    reason = StrictText(
        max_length=300, required=False, allow_blank=True, default="", help_text="Kept in the audit trail."
    )


class NewBudgetSerializer(_PlanFields):
    """A budget to make, or the whole of one to put in its place."""

    name = StrictText(max_length=80)
    period = StrictChoice(choices=BudgetPeriod.choices, required=False, default=BudgetPeriod.MONTH.value)
    scope = StrictChoice(choices=BudgetScope.choices, required=False, default=BudgetScope.ALL.value)
    scope_value = StrictText(
        max_length=80, required=False, allow_blank=True, default="", help_text="The meter's key, or the project label."
    )
    basis = StrictChoice(choices=BudgetBasis.choices, required=False, default=BudgetBasis.ACTUAL.value)
    thresholds = StrictList(
        child=StepSerializer(), min_length=1, max_length=MOST_THRESHOLDS, help_text="In ascending order."
    )


class BudgetChangeSerializer(_PlanFields):
    """What to change; the rest stays as it is."""

    name = StrictText(max_length=80, required=False)
    period = StrictChoice(choices=BudgetPeriod.choices, required=False)
    scope = StrictChoice(choices=BudgetScope.choices, required=False)
    scope_value = StrictText(max_length=80, required=False, allow_blank=True)
    basis = StrictChoice(choices=BudgetBasis.choices, required=False)
    thresholds = StrictList(child=StepSerializer(), required=False, min_length=1, max_length=MOST_THRESHOLDS)


class MuteSerializer(StrictSerializer):
    """How long to send no mails of this budget."""

    until = StrictInstant(allow_null=True, help_text="null: send mails again.")
    reason = StrictText(max_length=300, required=False, allow_blank=True, default="")


class AcknowledgeSerializer(StrictSerializer):
    """What you say to the alerts that nobody has acknowledged yet."""

    note = StrictText(max_length=300, required=False, allow_blank=True, default="")


_THRESHOLDS = [
    {"percent": 80, "action": "notify", "recipients": ["lead@acme.example"]},
    {"percent": 100, "action": "block_gpu", "recipients": ["cfo@acme.example"]},
]
_NEW = {"name": "GPU", "scope": "meter", "scope_value": "gpu_hours", "amount": "2000", "thresholds": _THRESHOLDS}
_EXAMPLE = {
    "id": "7d0d1a52-6d0a-4c0f-9a77-0c1d7a2f3b11", "name": "GPU", "is_primary": False, "period_kind": "month", "scope": "meter",
    "scope_value": "gpu_hours", "basis": "actual", "amount": "2000.00", "percent_of_last": None, "floor": None, "currency": "USD",
    "thresholds": _THRESHOLDS, "muted_until": None,
    "period": {"key": "2026-07", "start": "2026-06-30T22:00:00Z", "end": "2026-07-31T22:00:00Z"}, "spent": "1650.00",
    "remaining": "350.00", "percent": "82.50", "measured": "1650.00", "measured_percent": "82.50", "projected": "2105.00",
    "forecast": {"p10": "1985.10", "p50": "2105.00", "p90": "2240.40"}, "quality": "good",
    "exceeds": {"already": False, "earliest": "2026-07-26", "expected": "2026-07-29", "latest": None}, "in_force": [],
    "alerts": [{
        "id": 12, "percent": 80, "cost": "1602.50", "amount": "2000.00", "action": "notify", "crossed_at": "2026-07-14T16:20:00Z",
        "back_under_at": None, "acknowledged_at": None, "acknowledged_by": "", "note": "",
    }],
}  # fmt: skip


class _Budgets(TenantView):
    """Finding and showing budgets of the tenant."""

    def rows(self) -> QuerySet[Budget]:
        return Budget.objects.filter(tenant=self.tenant, is_active=True).order_by("-is_primary", "name")

    def find(self, budget_id: str) -> Budget:
        try:
            found = self.rows().filter(public_id=UUID(budget_id)).prefetch_related("thresholds").first()
        except ValueError:
            found = None
        if found is None:
            raise ProblemError("not_found")
        found.tenant = self.tenant
        return found

    def show(self) -> list[dict[str, Any]]:
        now = timezone.now()
        measured = {each.budget.pk: each for each in budgets.status(self.tenant, now)}
        in_force = blocks.in_force(self.tenant, now)
        alerts: dict[int, list[BudgetAlert]] = {}
        for alert in BudgetAlert.objects.filter(tenant=self.tenant).order_by("crossed_at", "percent"):
            alerts.setdefault(alert.budget_id, []).append(alert)
        return [
            _shown(
                budget,
                measured.get(budget.pk),
                [block.action for block in in_force if block.origin.startswith(f"budget:{budget.pk}:")],
                alerts.get(budget.pk, []),
            )
            for budget in self.rows().prefetch_related("thresholds")
        ]

    def answer(self, budget: Budget, **options: Any) -> Response:
        shown = next(each for each in self.show() if each["id"] == str(budget.public_id))
        return Response(BudgetDetailSerializer(shown).data, **options)


class BudgetsView(_Budgets):
    """The tenant's budgets."""

    needs = {"GET": Scope.BUDGET_READ, "POST": Scope.BUDGET_WRITE}

    @operation(
        "budgets_list", "List budgets", answer=BudgetListSerializer, tags=TAGS,
        examples=[example("One budget", {"budgets": [_EXAMPLE]})],
    )  # fmt: skip
    def get(self, request: Request, slug: str) -> Response:
        """All active ones (at most 50), the primary one first, each with this period's alerts and what is in force."""
        return Response(BudgetListSerializer({"budgets": self.show()}).data)

    @operation(
        "budgets_create", "Make a budget", request=NewBudgetSerializer, answer=BudgetDetailSerializer, status=201, tags=TAGS,
        problems=["conflict"],
        examples=[example("GPU hours", _NEW, request=True), example("Made", _EXAMPLE, status=201)],
    )  # fmt: skip
    def post(self, request: Request, slug: str) -> Response:
        """Thresholds are named in ascending order; an action is never milder than one at a lower threshold."""
        values = self.body(NewBudgetSerializer)
        budget = budgets.create(self.tenant, _plan(values), actor=self.caller.actor, reason=values["reason"])
        location = reverse("api:budget-detail", args=[self.tenant.slug, budget.public_id], request=request)
        return self.answer(budget, status=201, headers={"Location": location})


class BudgetDetailView(_Budgets):
    """One budget."""

    needs = {
        "GET": Scope.BUDGET_READ, "PUT": Scope.BUDGET_WRITE, "PATCH": Scope.BUDGET_WRITE, "DELETE": Scope.BUDGET_WRITE,
    }  # fmt: skip

    @operation(
        "budgets_retrieve",
        "Read a budget",
        answer=BudgetDetailSerializer,
        tags=TAGS,
        examples=[example("GPU hours", _EXAMPLE)],
    )
    def get(self, request: Request, slug: str, budget_id: str) -> Response:
        """What is spent of it, what it has warned of, and what is in force because of it."""
        return self.answer(self.find(budget_id))

    @operation(
        "budgets_replace", "Replace a budget", request=NewBudgetSerializer, answer=BudgetDetailSerializer, tags=TAGS,
        problems=["conflict"], examples=[example("GPU hours", _NEW, request=True)],
    )  # fmt: skip
    def put(self, request: Request, slug: str, budget_id: str) -> Response:
        """Everything is set anew. Raising it resumes what it had held back, within a minute."""
        values = self.body(NewBudgetSerializer)
        budget = budgets.update(self.find(budget_id), _plan(values), actor=self.caller.actor, reason=values["reason"])
        return self.answer(budget)

    @operation(
        "budgets_update", "Change a budget", request=BudgetChangeSerializer, answer=BudgetDetailSerializer, tags=TAGS,
        problems=["conflict"], examples=[example("Raise it", {"amount": "3000"}, request=True)],
    )  # fmt: skip
    def patch(self, request: Request, slug: str, budget_id: str) -> Response:
        """Only what is sent changes; `thresholds` are sent as a whole. An amount takes the place of a percentage and the reverse."""
        values = self.body(BudgetChangeSerializer)
        found = self.find(budget_id)
        budget = budgets.update(found, _changed(found, values), actor=self.caller.actor, reason=values["reason"])
        return self.answer(budget)

    @operation("budgets_delete", "End a budget", status=204, tags=TAGS)
    def delete(self, request: Request, slug: str, budget_id: str) -> Response:
        """It warns of nothing more, and what it had blocked is taken again. Its alerts stay in the history."""
        budgets.end(self.find(budget_id), actor=self.caller.actor)
        return Response(status=204)


class BudgetMuteView(_Budgets):
    """Silence."""

    needs = {"POST": Scope.BUDGET_WRITE}

    @operation(
        "budgets_mute", "Mute a budget", request=MuteSerializer, answer=BudgetDetailSerializer, tags=TAGS,
        examples=[example("Until August", {"until": "2026-08-01T00:00:00Z"}, request=True)],
    )  # fmt: skip
    def post(self, request: Request, slug: str, budget_id: str) -> Response:
        """No mails of it until then. Alerts are still kept, webhooks sent and actions taken."""
        values, budget = self.body(MuteSerializer), self.find(budget_id)
        if values["until"] is None:
            budgets.unmute(budget, actor=self.caller.actor, reason=values["reason"])
        else:
            budgets.mute(budget, values["until"], timezone.now(), actor=self.caller.actor, reason=values["reason"])
        return self.answer(budget)


class BudgetAcknowledgeView(_Budgets):
    """Seen."""

    needs = {"POST": Scope.BUDGET_WRITE}

    @operation(
        "budgets_acknowledge", "Acknowledge a budget's alerts", request=AcknowledgeSerializer, answer=BudgetDetailSerializer,
        tags=TAGS, examples=[example("With a note", {"note": "Expected: the trial runs until Friday."}, request=True)],
    )  # fmt: skip
    def post(self, request: Request, slug: str, budget_id: str) -> Response:
        """Says who has seen them, when, and your note. Alerts that somebody has acknowledged stay as they are."""
        budget = self.find(budget_id)
        waiting = BudgetAlert.objects.filter(budget=budget, acknowledged_at__isnull=True)
        budgets.acknowledge(
            waiting, timezone.now(), actor=self.caller.actor, note=self.body(AcknowledgeSerializer)["note"]
        )
        return self.answer(budget)


def _steps(values: list[dict[str, Any]]) -> tuple[Step, ...]:
    return tuple(Step(each["percent"], each["action"], tuple(each["recipients"])) for each in values)


def _plan(values: dict[str, Any]) -> Plan:
    return Plan(
        name=values["name"],
        steps=_steps(values["thresholds"]),
        amount=values.get("amount"),
        percent_of_last=values.get("percent_of_last"),
        floor=values.get("floor"),
        period=values["period"],
        scope=values["scope"],
        scope_value=values["scope_value"],
        basis=values["basis"],
    )


def _changed(budget: Budget, values: dict[str, Any]) -> Plan:
    plan = budgets.plan_of(budget)
    fields = ("name", "period", "scope", "scope_value", "basis", "amount", "percent_of_last", "floor")
    plan = replace(plan, **{name: values[name] for name in fields if name in values})
    if values.get("amount") is not None and "percent_of_last" not in values:
        plan = replace(plan, percent_of_last=None, floor=None)
    if values.get("percent_of_last") is not None and "amount" not in values:
        plan = replace(plan, amount=None)
    return replace(plan, steps=_steps(values["thresholds"])) if "thresholds" in values else plan


def _shown(
    budget: Budget, status: budgets.BudgetStatus | None, in_force: list[str], alerts: list[BudgetAlert]
) -> dict[str, Any]:
    key = status.period.key if status else ""
    forecast = status.forecast if status else None
    return {
        "id": str(budget.public_id),
        "name": budget.name,
        "is_primary": budget.is_primary,
        "period_kind": budget.period,
        "scope": budget.scope,
        "scope_value": budget.scope_value,
        "basis": budget.basis,
        "amount": _text(budget.amount, budget.currency),
        "percent_of_last": budget.percent_of_last,
        "floor": None if budget.floor is None else _text(budget.floor, budget.currency),
        "currency": budget.currency,
        "thresholds": [
            {"percent": row.percent, "action": row.action, "recipients": list(row.recipients)}
            for row in sorted(budget.thresholds.all(), key=lambda row: row.percent)
        ],
        "muted_until": budget.muted_until,
        "period": status.period if status else None,
        "spent": status.so_far.decimal_string() if status else None,
        "remaining": (status.amount - status.so_far).decimal_string() if status else None,
        "percent": f"{status.so_far_percent:f}" if status else None,
        "measured": status.spent.decimal_string() if status else None,
        "measured_percent": f"{status.percent:f}" if status else None,
        "projected": status.projected.decimal_string() if status and status.projected else None,
        "forecast": range_of(forecast, budget.currency),
        "quality": forecast.quality if forecast else "none",
        "exceeds": exceeds_of(forecast.exceeds(budget.amount)) if forecast else None,
        "in_force": in_force,
        "alerts": [_alert(alert, budget.currency) for alert in alerts if alert.period_key == key],
    }


def _alert(alert: BudgetAlert, currency: str) -> dict[str, Any]:
    return {
        "id": alert.pk, "percent": alert.percent, "cost": _text(alert.cost, currency), "amount": _text(alert.amount, currency), "action": alert.action,
        "crossed_at": alert.crossed_at, "back_under_at": alert.cleared_at, "acknowledged_at": alert.acknowledged_at,
        "acknowledged_by": alert.acknowledged_by, "note": alert.acknowledged_note,
    }  # fmt: skip


def _text(amount: Decimal, currency: str) -> str:
    """With the digits of its currency: 2000.00 USD, 2000 JPY."""
    return round_line(amount, currency).decimal_string()
