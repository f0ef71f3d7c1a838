"""Recent alerts of a tenant: budgets and quotas that crossed a mark, and what the monitoring noticed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from metering import monitoring
from metering.models import BudgetAlert, BudgetBasis, Meter, MonitoringAlert
from metering.models.quota_alert import QuotaAlert
from tenants.models import Tenant

from ..drawing.gauges import sentence
from ..writing import formats


@dataclass(frozen=True)
class Alert:
    """One alert in words. `tone` is good, warn or bad."""

    tone: str
    title: str
    text: str
    at: datetime
    url: str = ""


def budget_alerts(rows: Iterable[BudgetAlert], url: str = "") -> list[Alert]:
    """Crossed thresholds, in the order of `rows`; `rows` come with their budget."""
    return [
        Alert(
            tone="bad" if row.percent >= 100 else "warn",
            title=(
                _("The forecast reaches %(percent)s of the budget “%(name)s”")
                if row.budget.basis == BudgetBasis.FORECAST
                else _("%(percent)s of the budget “%(name)s” is spent")
            )
            % {"percent": formats.percent(row.percent), "name": row.budget.name},
            text=(
                _("%(cost)s expected of %(amount)s in %(month)s")
                if row.budget.basis == BudgetBasis.FORECAST
                else _("%(cost)s of %(amount)s in %(month)s")
            )
            % {
                "cost": formats.money(row.cost, row.currency),
                "amount": formats.money_short(row.amount, row.currency),
                "month": _period(row.period_key),
            },
            at=row.crossed_at,
            url=url,
        )
        for row in rows
    ]


def _period(key: str) -> str:
    return formats.month(key) if "Q" not in key else key


def quota_alerts(rows: Iterable[QuotaAlert], meters: Mapping[str, Meter], url: str = "") -> list[Alert]:
    """Quotas that passed a mark, in the order of `rows`."""
    return [
        Alert(
            tone="bad" if row.percent >= 100 else "warn",
            title=_("%(percent)s of the month’s %(meter)s are used")
            % {"percent": formats.percent(row.percent), "meter": _name(meters, row.meter)},
            text=sentence(row.used, row.limit, meters[row.meter].display_unit if row.meter in meters else ""),
            at=row.crossed_at,
            url=url,
        )
        for row in rows
    ]


def monitoring_alerts(rows: Iterable[MonitoringAlert], slug: str) -> list[Alert]:
    """What the platform's monitoring noticed about the tenant, in the order of `rows`; each leads to the page with its numbers."""
    return [
        Alert(
            tone="bad" if row.severity == "critical" else "warn",
            title=row.tenant_summary or row.summary,
            text=_("Noticed by the platform’s monitoring") if row.ends_at is None else _("This is over"),
            at=row.starts_at,
            url=reverse("web:costs" if row.about_costs else "web:usage", args=[slug]),
        )
        for row in rows
    ]


def _name(meters: Mapping[str, Meter], key: str) -> str:
    return meters[key].name if key in meters else key


def noticed(tenant: Tenant, *, with_costs: bool, count: int = 5) -> list[Alert]:
    """What the monitoring noticed about the tenant in the last 30 days, newest first."""
    return monitoring_alerts(
        monitoring.of_tenant(tenant, timezone.now(), with_costs=with_costs, count=count), tenant.slug
    )


def recent(tenant: Tenant, meters: Mapping[str, Meter], *, with_budgets: bool, count: int = 5) -> list[Alert]:
    """The newest alerts of the tenant; budget alerts only for those who see costs."""
    quotas = quota_alerts(
        QuotaAlert.objects.filter(tenant=tenant).order_by("-crossed_at")[:count],
        meters,
        reverse("web:quotas", args=[tenant.slug]),
    )
    budgets: list[Alert] = []
    if with_budgets:
        rows = BudgetAlert.objects.filter(tenant=tenant).select_related("budget").order_by("-crossed_at")[:count]
        budgets = budget_alerts(rows, reverse("web:budget", args=[tenant.slug]))
    reported = noticed(tenant, with_costs=with_budgets, count=count)
    return sorted([*quotas, *budgets, *reported], key=lambda alert: alert.at, reverse=True)[:count]
