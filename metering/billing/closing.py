"""Closing a month: a draft for every tenant, and after the grace time the invoice. Safe to repeat, to interrupt, to run twice at once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import cast

from django.db import connection, transaction

from tenants import audit, calendar, periods
from tenants.models import BillingPeriod, Tenant

from .. import jobs, processes
from ..models import EmptyMonth, Invoice, InvoiceState, JobRun, JobState
from . import announcing, portions
from .drafting import prepare_one
from .issuing import InvoiceStateError, freeze
from .portions import Closed, Outcome

TASK = "close month"
AT_ONCE = 200
"""Tenants of one portion: enough to share its statements, few enough to stay small and short."""
MOST_FAILURES = 20


def close(month: str, now: datetime, *, workers: int = 1) -> Iterator[Closed]:
    """Close 'YYYY-MM' for every tenant, in portions of one transaction each; yields as it goes.

    `workers` processes, this one among them, work on portions of their own. Raises ValueError for another form of month.
    """
    calendar.parse_month(month)
    ids = list(Tenant.objects.order_by("pk").values_list("pk", flat=True))
    # Several processes share out a small platform too.
    size = AT_ONCE if workers <= 1 else max(1, min(AT_ONCE, len(ids) // (2 * workers)))
    cut = [ids[first : first + size] for first in range(0, len(ids), size)]
    for _, answers in processes.each_portion(partial(_close_portion, month=month, now=now), cut, workers):
        tenants = Tenant.objects.in_bulk([pk for pk, _, _ in answers])
        for pk, outcome, detail in answers:
            yield Closed(tenants[pk], month, cast(Outcome, outcome), detail)


def _close_portion(ids: Sequence[int], month: str, now: datetime) -> list[tuple[int, str, str]]:
    """(tenant id, outcome, detail) of each tenant of a portion: what can be told to another process."""
    tenants = Tenant.objects.select_related("tier").filter(pk__in=ids).order_by("pk")
    return [(each.tenant.pk, each.outcome, each.detail) for each in portions.close(list(tenants), month, now)]


def close_tenant(tenant: Tenant, month: str, now: datetime) -> Closed:
    """Draft the tenant's month, or issue it when its grace time has passed. Never raises for the tenant's trouble: it is reported."""
    (closed,) = portions.close([tenant], month, now)
    return closed


def issue_now(tenant: Tenant, month: str, now: datetime, *, actor: str, reason: str) -> Invoice:
    """Issue a tenant's ended month because a person says so: before the end of its grace, with gaps undecided, or again after a voiding.

    What comes later is adjusted. Raises InvoiceStateError without a reason or when there is nothing to invoice; PeriodOpenError;
    NoEntityError.
    """
    if not reason.strip():
        raise InvoiceStateError("Say why it is issued by hand.")
    period = periods.period_by_key(tenant, month)
    with audit.acting(actor, reason), transaction.atomic():
        bill = prepare_one(tenant, period, now, even_empty=False)
        if bill.invoice is None:
            raise InvoiceStateError(f"{tenant.name} has nothing to invoice for {month}.")
        if not bill.is_issued:
            freeze([bill], now)
            announcing.owe([bill.invoice])
    return Invoice.objects.select_related("tenant", "period", "entity").get(pk=bill.invoice.pk)


def ask_to_close(month: str, now: datetime) -> JobRun:
    """Ask for a closing of 'YYYY-MM', to be worked off by `work_queue`; the one that is under way is answered instead of a second.

    Raises ValueError for another form of month, InvoiceStateError for one that has not ended anywhere yet.
    """
    calendar.parse_month(month)
    if month >= calendar.month_key("Pacific/Kiritimati", now):
        raise InvoiceStateError(f"{month} has not ended anywhere yet.")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(7307, 1)")
        going = JobRun.objects.filter(task=TASK, period__startswith=f"{month} ").exclude(state=JobState.DONE).first()
        return going or JobRun.objects.create(
            task=TASK,
            period=f"{month} {now.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"[:40],
            started_at=now,
            lease_until=now,
            detail={"done": 0, "total": Tenant.objects.count()},
        )


def last_asked(month: str) -> JobRun | None:
    """The latest closing of the month that somebody asked for, with its progress in `detail`."""
    return JobRun.objects.filter(task=TASK, period__startswith=f"{month} ").order_by("-started_at", "-pk").first()


def work_queue(now: datetime) -> int:
    """Work off the closings that were asked for, those of a killed worker included; how many."""
    waiting = JobRun.objects.filter(task=TASK, lease_until__lte=now).exclude(state=JobState.DONE).order_by("pk")
    return sum(_close_by_hand(period, now) for period in list(waiting.values_list("period", flat=True)))


def _close_by_hand(period: str, now: datetime) -> bool:
    month = period.split(" ", 1)[0]
    with jobs.once(TASK, period, atomic=False) as run:
        if run is None:
            return False
        outcomes: Counter[str] = Counter()
        failures: list[str] = []
        total = Tenant.objects.count()
        for number, closed in enumerate(close(month, now), start=1):
            outcomes[closed.outcome] += 1
            if closed.outcome == "failed" and len(failures) < MOST_FAILURES:
                failures.append(f"{closed.tenant.slug}: {closed.detail}")
            if number % AT_ONCE == 0 or number == total:
                run.detail = {"done": number, "total": total, "outcomes": dict(outcomes), "failures": failures}
                run.save_progress()
        return True


def due(now: datetime) -> Iterator[Closed]:
    """What the clock owes: every ended month of every tenant since its start that is not issued, oldest first.

    A voided month waits for a person, and a month with nothing that no usage can reach any more is not looked at again.
    """
    ids = list(Tenant.objects.order_by("pk").values_list("pk", flat=True))
    for first in range(0, len(ids), AT_ONCE):
        some = list(Tenant.objects.select_related("tier").filter(pk__in=ids[first : first + AT_ONCE]).order_by("pk"))
        for month, tenants in sorted(_owed(some, now).items()):
            yield from (each for each in portions.close(tenants, month, now) if each.outcome != "not ended")


def _owed(tenants: Sequence[Tenant], now: datetime) -> dict[str, list[Tenant]]:
    """By month, the tenants that have neither an issued nor a voided invoice of it."""
    mine = {"tenant__in": [tenant.pk for tenant in tenants]}
    since = {tenant.pk: calendar.month_key(tenant.time_zone, tenant.created_at) for tenant in tenants}
    settled: set[tuple[int, str]] = set()
    for tenant_id, key in BillingPeriod.objects.filter(**mine).values_list("tenant_id", "key"):
        since[tenant_id] = min(since[tenant_id], key)
    out = Invoice.objects.filter(**mine).exclude(state=InvoiceState.DRAFT)
    settled.update(out.order_by().values_list("tenant_id", "period__key"))
    settled.update(EmptyMonth.objects.filter(**mine).values_list("tenant_id", "period__key"))
    owed: dict[str, list[Tenant]] = defaultdict(list)
    for tenant in tenants:
        month, current = since[tenant.pk], calendar.month_key(tenant.time_zone, now)
        while month < current:
            if (tenant.pk, month) not in settled:
                owed[month].append(tenant)
            month = calendar.next_month(month)
    return owed
