"""What has to be done now and then so that the tables stay usable: months ahead of time, months past their time, and rows that have served."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models import Q, QuerySet

from tenants import idempotency
from tenants.limiting import refused_calls

from . import jobs, monitoring
from .event_store import floor, store
from .models import (
    DirtyHour,
    GpuDeviceHour,
    GpuHolderHour,
    Invoice,
    InvoiceState,
    JobRun,
    JobState,
    Notification,
    NotificationState,
)

KEEP_JOB_RUNS = timedelta(days=100)
KEEP_COLLECTOR_RUNS = timedelta(days=7)
"""A collector leaves a row per slot, up to thousands a day; what it read is in the ledger, and what it missed is a gap."""

KEEP_NOTIFICATIONS = timedelta(days=400)
KEEP_GPU_HOURS = timedelta(days=400)
ROWS_AT_ONCE = 5_000
LEDGER_ROWS_AT_ONCE = 50_000
LEAST_MONTHS = 3
"""Events may be 35 days late, and their months are closed after that: a ledger that is kept for less would forget what is still needed."""

RETIRE = "retire ledger month"

log = logging.getLogger(__name__)


def keep_partitions(now: datetime) -> int:
    """See to it that the ledger has month partitions from two months ago to three months ahead; answers how many were made.

    The job's row says so in the admin; once an hour, however many beats there are.
    """
    with jobs.once("keep partitions", f"{now:%Y-%m-%dT%H}") as run:
        if run is None:
            return 0
        run.detail["made"] = made = make_partitions(now - timedelta(days=61), now + timedelta(days=92))
        return made


def make_partitions(first: datetime, last: datetime) -> int:
    """Make the missing month partitions (UTC) that cover [first, last]; answers how many. As the tables' owner only."""
    made = store().make_months(first, last)
    if made:
        log.info("ledger.partitions_made", extra={"made": made})
    return made


def retire_months(now: datetime, *, detach: bool | None = None) -> list[str]:
    """Remove the ledger's months that are older than LEDGER_KEEP_MONTHS whole months; answers which ('YYYYMM').

    Rollups, call counters and invoices stay. A month goes when everything in it is rolled up and no invoice of its time waits to be
    issued; one that cannot go yet is passed over, told, and looked at again with the next run. Each month is a job whose row counts
    the rows; a killed one goes on where it was. With `detach` (by default as LEDGER_RETIRE says) its table is set aside, not dropped.
    """
    keep = settings.LEDGER_KEEP_MONTHS
    if not keep:
        floor.hold_back({}, now)
        return []
    detach = settings.LEDGER_RETIRE == "detach" if detach is None else detach
    oldest = _months_before(now, max(keep, LEAST_MONTHS))
    gone: list[str] = []
    held: dict[str, str] = {}
    for month in store().months():
        if month.key >= f"{oldest:%Y%m}":
            break
        start = datetime(int(month.key[:4]), int(month.key[4:]), 1, tzinfo=UTC)
        if reason := _still_needed(start, _months_before(start, -1)):
            held[month.key] = reason
            log.warning("ledger.month_held_back", extra={"month": month.key, "reason": reason})
            continue
        with jobs.once(RETIRE, month.key, atomic=False) as run:
            if run is None:
                continue
            floor.remove(start, now, older_wait=bool(held))
            for rows in store().drop_month(month.key, rows_at_once=LEDGER_ROWS_AT_ONCE, detach=detach):
                run.detail |= {"rows": rows, "of about": month.rows, "detached": detach}
                run.save_progress()
        gone.append(month.key)
        log.info("ledger.month_retired", extra={"month": month.key, "rows": month.rows, "detached": detach})
    floor.hold_back(held, now)
    return gone


def _still_needed(start: datetime, end: datetime) -> str:
    """Why what lies in [start, end) cannot go yet, or ''."""
    # An hour of a tenant's may begin in the month before.
    if waiting := DirtyHour.objects.filter(hour__gt=start - timedelta(hours=1), hour__lt=end).count():
        return f"{waiting} hours of it wait to be rolled up"
    of_its_time = Invoice.objects.filter(period__starts_at__lt=end, period__ends_at__gt=start)
    drafts = of_its_time.filter(state=InvoiceState.DRAFT).count()
    return f"{drafts} invoices of its time are not issued yet" if drafts else ""


def _months_before(instant: datetime, months: int) -> datetime:
    """The start of the UTC month that lies so many months before the instant's."""
    count = instant.astimezone(UTC).year * 12 + instant.astimezone(UTC).month - 1 - months
    return datetime(count // 12, count % 12 + 1, 1, tzinfo=UTC)


def tidy_up(now: datetime) -> dict[str, int]:
    """Delete what has served: remembered answers, expired sessions, old job runs and sent mails. The ledger is never touched."""
    with jobs.once("tidy up", f"{now:%Y-%m-%dT%H}") as run:
        if run is None:
            return {}
        runs = (
            JobRun.objects.filter(state=JobState.DONE)
            .exclude(task=jobs.SIMULATION)
            .filter(
                Q(started_at__lt=now - KEEP_JOB_RUNS)
                | Q(started_at__lt=now - KEEP_COLLECTOR_RUNS, task__startswith=jobs.COLLECTOR_RUN)
            )
        )
        mails = Notification.objects.filter(
            created_at__lt=now - KEEP_NOTIFICATIONS, state__in=[NotificationState.SENT, NotificationState.FAILED]
        )
        run.detail |= {
            "answers": idempotency.forget_old(now),
            "sessions": _delete_some(Session.objects.filter(expire_date__lt=now)),
            "job runs": _delete_some(runs),
            "mails": _delete_some(mails),
            "alerts": _delete_some(monitoring.old(now)),
            "refused calls": _delete_some(refused_calls.old(now)),
            "GPU hours": _delete_some(GpuDeviceHour.objects.filter(hour__lt=now - KEEP_GPU_HOURS)),
            "GPU hours of holders": _delete_some(GpuHolderHour.objects.filter(hour__lt=now - KEEP_GPU_HOURS)),
        }
        return dict(run.detail)


def _delete_some(rows: QuerySet) -> int:  # type: ignore[type-arg]
    """Delete at most ROWS_AT_ONCE, so that no lock is held for long; the next hour goes on."""
    some = rows.order_by("pk").values_list("pk", flat=True)[:ROWS_AT_ONCE]
    return rows.model._default_manager.filter(pk__in=list(some)).delete()[0]
