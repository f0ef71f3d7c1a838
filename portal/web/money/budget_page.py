"""Budgets and alerts: what is spent of each budget, what was crossed, days out of the ordinary; and changing all of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from metering import budgets
from metering.budgets import Plan, Step
from metering.forecasting import FALSE_ALARM_RATE
from metering.models import Budget, BudgetAlert, BudgetThreshold, Meter, SpendAnomaly
from tenants import audit
from tenants.access import Access
from tenants.limiting import blocks
from tenants.models import Role
from tenants.problems import ProblemError

from ..drawing.charts import currency_sign
from ..frame.forms import show_problem
from ..frame.pages import Page, tenant_page
from ..frame.shell import MANAGERS
from ..notices import alerts
from ..writing import formats
from ..writing.meters import Meters, all_meters
from . import budget_reading
from .budget_forms import AcknowledgeForm, BudgetForm, MuteForm, StepForms, initial_steps, steps_of

PER_PAGE = 12
ANOMALIES = 10
EDITORS = (*MANAGERS, Role.BILLING)


@tenant_page("budget")
def index(request: HttpRequest, access: Access) -> Page:
    """Every budget, what is held back because of one, the alerts, and unusual days."""
    now, tenant = timezone.now(), access.tenant
    meters = all_meters()
    can_change = access.can(*EDITORS) and not access.read_only
    statuses = {each.budget.pk: each for each in budgets.status(tenant, now)}
    rows = Budget.objects.filter(tenant=tenant, is_active=True).prefetch_related("thresholds")
    page = Paginator(
        BudgetAlert.objects.filter(tenant=tenant).select_related("budget").order_by("-crossed_at", "-percent"), PER_PAGE
    ).get_page(request.GET.get("page"))
    context = {
        "budgets": [
            _card(budget, statuses.get(budget.pk), meters, now) for budget in rows.order_by("-is_primary", "name")
        ],
        "blocks": blocks.in_force(tenant, now),
        "alerts": list(zip(page, alerts.budget_alerts(page), strict=True)),
        "page_obj": page,
        "anomalies": _anomalies(access, meters),
        "false_alarms": formats.percent(FALSE_ALARM_RATE * 100),
        "can_change": can_change,
    }
    return Page("portal/money/budget.html", context)


@tenant_page("budget", methods=("GET", "HEAD", "POST"))
def create(request: HttpRequest, access: Access) -> Page | HttpResponse:
    """GET: the form. POST: make the budget."""
    access.require(*EDITORS)
    steps = tuple(Step(percent) for percent in settings.BUDGET_THRESHOLDS)
    return _edit(request, access, None, Plan("", steps))


@tenant_page("budget", methods=("GET", "HEAD", "POST"))
def edit(request: HttpRequest, access: Access, budget_id: UUID) -> Page | HttpResponse:
    """GET: the form. POST: change the budget."""
    access.require(*EDITORS)
    budget = _find(access, budget_id)
    return _edit(request, access, budget, budgets.plan_of(budget))


@tenant_page("budget", methods=("GET", "HEAD", "POST"))
def end(request: HttpRequest, access: Access, budget_id: UUID) -> Page | HttpResponse:
    """GET: the question. POST: the budget ends; what it had held back is taken again."""
    access.require(*EDITORS)
    budget = _find(access, budget_id)
    if request.method == "POST":
        budgets.end(budget, actor=audit.user_actor(request.user))
        messages.success(request, _("“%(name)s” is ended.") % {"name": budget.name})
        return redirect("web:budget", access.tenant.slug)
    text = _("It warns of nothing more, and calls that it had held back are taken again. Its alerts stay in the list.")
    return _question(request, access, _("End “%(name)s”?") % {"name": budget.name}, text, _("End budget"))


@tenant_page("budget", methods=("GET", "HEAD", "POST"))
def mute(request: HttpRequest, access: Access, budget_id: UUID) -> Page | HttpResponse:
    """GET: for how long. POST: no mails of this budget until then."""
    access.require(*EDITORS)
    budget, now = _find(access, budget_id), timezone.now()
    form = MuteForm(request.POST if request.method == "POST" else None, initial={"days": "7"})
    if request.method == "POST" and form.is_valid():
        days, actor = int(form.cleaned_data["days"]), audit.user_actor(request.user)
        if days:
            budgets.mute(budget, now + timedelta(days=days), now, actor=actor)
        else:
            budgets.unmute(budget, actor=actor)
        messages.success(request, _("No mails of it for now.") if days else _("Mails of it are sent again."))
        return redirect("web:budget", access.tenant.slug)
    text = _("No mails go out. Alerts are still listed here, webhooks sent, and actions taken.")
    return _question(
        request, access, _("Mute “%(name)s”") % {"name": budget.name}, text, _("Save"), form=form, tone="primary"
    )


@tenant_page("budget", methods=("GET", "HEAD", "POST"))
def acknowledge(request: HttpRequest, access: Access, alert_id: int) -> Page | HttpResponse:
    """GET: room for a note. POST: who has seen the alert, and when."""
    access.require(*EDITORS)
    alert = BudgetAlert.objects.filter(tenant=access.tenant, pk=alert_id).select_related("budget").first()
    if alert is None:
        raise Http404
    form = AcknowledgeForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        budgets.acknowledge(
            [alert], timezone.now(), actor=audit.user_actor(request.user), note=form.cleaned_data["note"]
        )
        messages.success(request, _("Acknowledged."))
        return redirect("web:budget", access.tenant.slug)
    (words,) = alerts.budget_alerts([alert])
    return _question(
        request,
        access,
        _("Acknowledge the alert"),
        f"{words.title}: {words.text}",
        _("Acknowledge"),
        form=form,
        tone="primary",
    )


# ----------------------------------------------------------------------------------------------------------------- pieces


def _find(access: Access, budget_id: UUID) -> Budget:
    rows = Budget.objects.filter(tenant=access.tenant, public_id=budget_id, is_active=True)
    budget = rows.prefetch_related("thresholds").first()
    if budget is None:
        raise Http404
    budget.tenant = access.tenant
    return budget


def _edit(request: HttpRequest, access: Access, budget: Budget | None, plan: Plan) -> Page | HttpResponse:
    sent = request.POST if request.method == "POST" else None
    meters = all_meters()
    form = BudgetForm(sent, initial=BudgetForm.initial_of(plan), meters=meters.values())
    rows = StepForms(sent, initial=initial_steps(plan.steps), prefix="steps")
    refused = False
    if sent is not None and all([form.is_valid(), rows.is_valid()]):
        wanted, actor = form.plan(steps_of(rows)), audit.user_actor(request.user)
        try:
            if budget is None:
                budgets.create(access.tenant, wanted, actor=actor)
            else:
                budgets.update(budget, wanted, actor=actor)
        except ProblemError as problem:
            show_problem(form, problem)
        else:
            messages.success(request, _("Budget saved."))
            return redirect("web:budget", access.tenant.slug)
    refused = bool(form.errors or (sent is not None and not rows.is_valid()))
    context = {
        "budget": budget,
        "form": form,
        "rows": rows,
        "currency_sign": currency_sign(budgets.billed_in(access.tenant)).strip(),
    }
    return Page("portal/money/budget_edit.html", context, status=400 if refused else 200)


def _question(
    request: HttpRequest, access: Access, title: str, text: str, button: str, *, form: Any = None, tone: str = "danger"
) -> Page:
    context = {
        "title": title,
        "text": text,
        "button": button,
        "action": request.path,
        "form": form,
        "tone": tone,
        "cancel_url": reverse("web:budget", args=[access.tenant.slug]),
        "cancel_label": _("Budgets & alerts"),
    }
    return Page("portal/frame/confirm.html", context, fragment="portal/frame/_confirm.html")


def _card(budget: Budget, status: budgets.BudgetStatus | None, meters: Meters, now: datetime) -> dict[str, Any]:
    card = None
    if status is not None:
        card = budget_reading.describe(
            status.amount.amount, status.so_far.amount, status.amount.currency, status.thresholds, status.forecast
        )
        if status.is_forecast:
            card = budget_reading.by_forecast(card, status)
    return {
        "budget": budget,
        "card": card,
        "about": _about(budget, meters),
        "acts": [(row.percent, _lower_first(row)) for row in budget.thresholds.all() if row.action != "notify"],
        "muted": budget.muted_until is not None and budget.muted_until > now,
    }


def _lower_first(row: BudgetThreshold) -> str:
    """'refuse new GPU reservations' within a sentence."""
    words = str(row.get_action_display())
    return words[:1].lower() + words[1:]


def _about(budget: Budget, meters: Meters) -> str:
    what = {
        "all": _("Whole cost"),
        "meter": meters[budget.scope_value].name if budget.scope_value in meters else budget.scope_value,
        "project": _("Project %(name)s") % {"name": budget.scope_value},
    }[budget.scope]
    parts = [what, str(budget.get_period_display()).lower()]
    if budget.basis == "forecast":
        parts.append(_("by forecast"))
    if budget.percent_of_last:
        parts.append(_("%(percent)d%% of the period before") % {"percent": budget.percent_of_last})
    return " · ".join(parts)


def _anomalies(access: Access, meters: dict[str, Meter]) -> list[dict[str, Any]]:
    rows = SpendAnomaly.objects.filter(tenant=access.tenant).order_by("-day")[:ANOMALIES]
    return [
        {
            "day": row.day,
            "more": row.direction == "high",
            "cost": formats.money(row.cost, row.currency),
            "range": _("usual is %(low)s to %(high)s")
            % {"low": formats.money(row.low, row.currency), "high": formats.money(row.high, row.currency)},
            "meter": meters[row.meter].name if row.meter in meters else row.meter,
        }
        for row in rows
    ]
