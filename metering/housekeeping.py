"""What has to be done now and then so that the tables stay usable: partitions ahead of time, and rows that have served."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import Q, QuerySet

from tenants import idempotency, refused_calls

from . import jobs, monitoring
from .models import GpuDeviceHour, GpuHolderHour, JobRun, JobState, Notification, NotificationState

KEEP_JOB_RUNS = timedelta(days=100)
KEEP_COLLECTOR_RUNS = timedelta(days=7)
"""A collector leaves a row per slot, up to thousands a day; what it read is in the ledger, and what it missed is a gap."""

KEEP_NOTIFICATIONS = timedelta(days=400)
KEEP_GPU_HOURS = timedelta(days=400)
ROWS_AT_ONCE = 5_000

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
    with connection.cursor() as cursor:
        cursor.execute("SELECT metering_keep_partitions(%s::date, %s::date)", [first, last])
        made: int = cursor.fetchone()[0]
    if made:
        log.info("ledger.partitions_made", extra={"made": made})
    return made


def tidy_up(now: datetime) -> dict[str, int]:
    """Delete what has served: remembered answers, expired sessions, old job runs and sent mails. The ledger is never touched."""
    with jobs.once("tidy up", f"{now:%Y-%m-%dT%H}") as run:
        if run is None:
            return {}
        runs = JobRun.objects.filter(state=JobState.DONE).filter(
            Q(started_at__lt=now - KEEP_JOB_RUNS)
            | Q(started_at__lt=now - KEEP_COLLECTOR_RUNS, task__startswith=jobs.COLLECTOR_RUN)
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
