"""Collectors on nodes that have no database: what they are told, and how their reports are kept.

A node's `manage.py collect` asks for what it must know (tenants, assignments, reservations), and reports each run with all that it
learned. A report is kept in one transaction, and once: reports of a collector come in the order of their `at`, and one that is not newer than the
last is known already. So a report may be sent again after any doubt.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from metering.attribution import coverage, policy, table
from metering.collectors import wire
from metering.models import CollectorStatus
from tenants.models import Tenant, TenantState

from . import rounds

AHEAD = timedelta(minutes=5)
"""A report from further ahead is refused: were it kept, the true ones that follow would count as old."""


class ClockAheadError(ValueError):
    """The node's clock is ahead of ours. The report may come again later."""


@dataclass(frozen=True, slots=True)
class Reporter:
    """A collector that ran elsewhere; see base.Collector."""

    name: str
    kind: str
    meter: str
    interval_seconds: int
    timeout_seconds: int = 0

    def collect(self, now: datetime, deadline: float) -> Any:
        """It ran already."""
        raise NotImplementedError


def context(node: str, now: datetime) -> dict[str, Any]:
    """What the collectors of a node must know, as JSON values."""
    since = coverage.since(node, now)
    slugs = Tenant.objects.exclude(state=TenantState.CLOSED).order_by("slug").values_list("slug", flat=True)
    return {
        "tenants": list(slugs),
        "assigned": [
            {
                "device": each.device,
                "tenant": each.tenant,
                "fraction": str(each.fraction),
                "starts_at": each.starts_at.isoformat(),
                "ends_at": each.ends_at.isoformat() if each.ends_at else None,
            }
            for each in policy.in_force(node, since, now)
        ],
        "reserved": [
            {
                "id": each.id,
                "tenant": each.tenant,
                "model": each.model,
                "fraction": str(each.fraction),
                "capacity": str(each.capacity),
                "started_at": each.started_at.isoformat(),
                "ended_at": each.ended_at.isoformat() if each.ended_at else None,
                "job": each.job,
            }
            for each in coverage.in_force(node, since, now)
        ],
        "rules": [{"fact": each.fact, "pattern": each.pattern, "tenant": each.tenant} for each in table.in_force(node)],
    }


def keep(node: str, name: str, document: Any, now: datetime, *, buffered: int = 0) -> bool:
    """Keep a report; False when it, or a later one, is kept already. Raises ReportError, ClockAheadError."""
    report = wire.load(document)
    if report.at > now + AHEAD:
        raise ClockAheadError(f"The report is of {report.at.isoformat()}, and here it is {now.isoformat()}.")
    with transaction.atomic():
        with connection.cursor() as cursor:  # also before there is a row to lock
            cursor.execute("SELECT pg_advisory_xact_lock(7311, hashtext(%s))", [f"{node}/{name}"])
        last = CollectorStatus.objects.filter(name=name, node=node).values_list("last_run_at", flat=True).first()
        if last is not None and report.at <= last:
            return False
        reporter = Reporter(name, report.kind, report.meter, report.interval_seconds)
        tenants = {tenant.slug: tenant for tenant in Tenant.objects.all()}
        duration = report.duration_ms / 1000
        rounds.keep(reporter, node, report.collected, tenants, report.at, duration=duration, booked_at=now)
        CollectorStatus.objects.filter(name=name, node=node).update(buffered=buffered)
        return True
