"""Days that cost more or less than usual for the tenant: found once a day, kept, mailed and told by webhook.

A day is judged when it has been over for six hours, so that late events are in it, against the days before it of this tenant
(`forecasting.anomaly`: at least 28 known days, by weekday, at most FALSE_ALARM_RATE false alarms on days like those before).
"""

from __future__ import annotations

import logging
from collections import defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from metering import jobs
from metering.costing import costs
from metering.forecasting import FALSE_ALARM_RATE, Anomaly, anomaly
from metering.mail.anomalies import AnomalyFacts, spend_anomaly
from metering.models import Meter, SpendAnomaly
from metering.money import Money, allocate, round_line
from metering.telling import notifications, recipients
from metering.webhooks import delivery as webhooks
from metering.webhooks.events import ANOMALY_DETECTED
from tenants import calendar
from tenants.models import Tenant, TenantState

__all__ = ["FALSE_ALARM_RATE", "daily_costs", "find_all"]

TASK = "spend anomaly"
SETTLED_AFTER = timedelta(hours=6)
MONTHS_BACK = 3
LEAST = Decimal(1)
"""Differences of less than this, in the tenant's currency, alarm nobody."""

log = logging.getLogger(__name__)


class FindError(RuntimeError):
    """Some tenants could not be judged. The others were."""


def find_all(now: datetime) -> int:
    """Judge the last settled day of every tenant, each once; how many days were out of the ordinary."""
    found = failed = 0
    for tenant in Tenant.objects.filter(state=TenantState.ACTIVE).select_related("tier").order_by("pk"):
        day = (now - SETTLED_AFTER).astimezone(ZoneInfo(tenant.time_zone)).date() - timedelta(days=1)
        try:
            with jobs.once(TASK, day.isoformat(), tenant) as run:
                if run is not None:
                    row = _judge(tenant, day, now)
                    run.detail = {"found": row is not None}
                    found += row is not None
        except Exception:
            failed += 1
            log.exception("anomaly.failed", extra={"tenant": tenant.slug, "day": day.isoformat()})
    if failed:
        raise FindError(f"{failed} tenants could not be judged; see the log")
    return found


def daily_costs(tenant: Tenant, day: date, now: datetime) -> dict[str, dict[date, Decimal]]:
    """meter → what each day up to `day` has cost, from the first usage of the last months on; only what usage explains.

    Fees and minimums belong to no day and are left out. Amounts are in the currency of the tenant's prices.
    """
    zone = ZoneInfo(tenant.time_zone)
    keys = [day.strftime("%Y-%m")]
    for _ in range(MONTHS_BACK):
        keys.append(calendar.previous_month(keys[-1]))
    found: dict[str, dict[date, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    currency = ""
    for key in keys:  # the newest first: what was billed in another currency before is another series
        statement = costs.statement(tenant, key, now)
        currency = currency or statement.currency
        if statement.currency != currency:
            break
        for line in statement.lines:
            weights = [max(segment.quantity, Fraction(0)) for segment in line.segments]
            if line.kind != "usage" or not any(weights):
                continue
            for segment, part in zip(line.segments, allocate(line.amount, weights), strict=True):
                at = segment.start.astimezone(zone).date()
                if at <= day:
                    found[line.meter][at] += part.amount
    return found


def _judge(tenant: Tenant, day: date, now: datetime) -> SpendAnomaly | None:
    by_meter = daily_costs(tenant, day, now)
    first = min((at for days in by_meter.values() for at in days), default=day)
    history = [first + timedelta(days=number) for number in range((day - first).days)]
    sums = {at: sum((days.get(at, Decimal(0)) for days in by_meter.values()), Decimal(0)) for at in [*history, day]}
    judged = anomaly([(at, sums[at]) for at in history], day, sums[day], at_least=LEAST)
    if judged is None or judged.direction is None:
        return None
    currency = costs.statement(tenant, day.strftime("%Y-%m"), now).currency
    low, expected, high = (round_line(value, currency).amount for value in (judged.low, judged.expected, judged.high))
    row, made = SpendAnomaly.objects.get_or_create(
        tenant=tenant,
        day=day,
        defaults={
            "direction": judged.direction, "cost": sums[day], "expected": max(expected, Decimal(0)), "low": low, "high": high,
            "currency": currency, "meter": _changed_most(by_meter, history, day, judged), "detected_at": now,
        },
    )  # fmt: skip
    if made:
        _tell(row, tenant, now)
    return row


def _changed_most(by_meter: dict[str, dict[date, Decimal]], history: list[date], day: date, judged: Anomaly) -> str:
    """The meter whose day differs most, in the direction of the whole, from its mean on that weekday of the last eight weeks."""
    sign = 1 if judged.direction == "high" else -1
    alike = [at for at in history[-56:] if at.weekday() == day.weekday()] or history[-1:]

    def change(meter: str) -> Decimal:
        days = by_meter[meter]
        usual = sum((days.get(at, Decimal(0)) for at in alike), Decimal(0)) / max(len(alike), 1)
        return sign * (days.get(day, Decimal(0)) - usual)

    return max(by_meter, key=change, default="")


def _tell(row: SpendAnomaly, tenant: Tenant, now: datetime) -> None:
    log.info("anomaly.detected", extra={"tenant": tenant.slug, "day": row.day.isoformat(), "direction": row.direction})
    data = {
        "anomaly": str(row.public_id), "day": row.day.isoformat(), "direction": row.direction, "currency": row.currency, "meter": row.meter,
        **{name: Money(getattr(row, name), row.currency).decimal_string() for name in ("cost", "expected", "low", "high")},
    }  # fmt: skip
    webhooks.owe(tenant, ANOMALY_DETECTED, f"anomaly-{row.pk}", data, now)
    meter = Meter.objects.filter(pk=row.meter).first()
    facts = AnomalyFacts(
        tenant.name, tenant.slug, tenant.time_zone, row.day, row.direction, row.cost, row.expected, row.low, row.high, row.currency,
        meter.name if meter else row.meter, FALSE_ALARM_RATE,
    )  # fmt: skip
    people = recipients.of(tenant, recipients.MONEY)
    notifications.owe(spend_anomaly(facts), key=f"anomaly:{row.pk}", recipients=people, tenant=tenant, now=now)
