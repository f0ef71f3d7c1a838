"""Periodic work that must take effect once: a row is claimed for (task, tenant, period) before the work starts.

    with jobs.once("close month", "2026-07", tenant) as run:
        if run is not None:
            ...

The body runs in one transaction that also marks the run done, so that effect and mark are kept together or not at all. A run whose
lease has passed is taken for killed, and the next claim takes it over; should the first holder still be alive, it finds at its end
that the run is no longer its own and rolls back. Leases go by the database's clock: workers need not agree on the time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import DatabaseError, connection, transaction
from django.db.models.functions import Now

from tenants.models import Tenant

from .models import JobRun, JobState

LEASE = timedelta(minutes=10)
FIRST_RETRY = timedelta(seconds=30)
LAST_RETRY = timedelta(hours=1)
COLLECTOR_RUN = "collect "
"""What the task of a collector's run begins with."""
SIMULATION = "simulate"
"""The task of what a simulation was begun with; it is kept as long as its tenants are."""

log = logging.getLogger(__name__)


class LeaseLostError(RuntimeError):
    """The work took longer than its lease and someone else took the run over; nothing of it was kept."""


@dataclass
class Run:
    """A claimed run. What is put into `detail` is stored with it; a run that was taken over finds what its predecessor had saved."""

    id: int
    attempt: int
    detail: dict[str, Any] = field(default_factory=dict)

    def save_progress(self, lease: timedelta = LEASE) -> None:
        """Store `detail` and prolong the lease, for long work in several transactions. Raises LeaseLostError when it has been lost."""
        if not _mine(self).update(detail=self.detail, lease_until=Now() + lease):
            raise LeaseLostError(f"run {self.id} was taken over")


@contextmanager
def once(
    task: str, period: str, tenant: Tenant | None = None, *, lease: timedelta = LEASE, atomic: bool = True
) -> Iterator[Run | None]:
    """Claim the run of `task` for `period` (any text, such as "2026-07"): the Run when it is ours, None when it is done or in work.

    With `atomic` the body is one transaction. Without, the body commits as it goes and must be safe to repeat; it should call
    `Run.save_progress` now and then. An exception marks the run failed, is kept as its error and raised on; a failed run can be
    claimed again after a wait that doubles with every attempt.
    """
    run = _claim(task, period, tenant, lease)
    if run is None:
        yield None
        return
    try:
        if atomic:
            with transaction.atomic():
                yield run
                _finish(run)
        else:
            yield run
            _finish(run)
    except Exception as error:
        with suppress(DatabaseError):  # the first error tells more; without the mark, the lease runs out
            _fail(run, error)
        log.warning("job.failed", extra={"task": task, "period": period, "attempt": run.attempt})
        raise


def _claim(task: str, period: str, tenant: Tenant | None, lease: timedelta) -> Run | None:
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO metering_jobrun AS run (task, tenant_id, period, state, attempt, started_at, lease_until, detail, error)
            VALUES (%s, %s, %s, 'running', 1, statement_timestamp(), statement_timestamp() + make_interval(secs => %s), '{}', '')
            ON CONFLICT (task, tenant_id, period) DO UPDATE
            SET state = 'running', attempt = run.attempt + 1, started_at = EXCLUDED.started_at, lease_until = EXCLUDED.lease_until,
                error = '', finished_at = NULL
            WHERE run.state <> 'done' AND run.lease_until <= clock_timestamp()
            RETURNING id
            """,
            [task, tenant.pk if tenant else None, period, lease.total_seconds()],
        )
        claimed = cursor.fetchone()
    if claimed is None:
        return None
    row = JobRun.objects.get(pk=claimed[0])
    return Run(row.pk, row.attempt, row.detail)


def _mine(run: Run) -> Any:
    return JobRun.objects.filter(pk=run.id, attempt=run.attempt, state=JobState.RUNNING)


def _finish(run: Run) -> None:
    if not _mine(run).update(state=JobState.DONE, finished_at=Now(), detail=run.detail):
        raise LeaseLostError(f"run {run.id} was taken over")


def _fail(run: Run, error: Exception) -> None:
    wait = min(FIRST_RETRY * 2 ** min(run.attempt - 1, 10), LAST_RETRY)
    text = f"{type(error).__name__}: {error}"[:2000]
    _mine(run).update(state=JobState.FAILED, finished_at=Now(), lease_until=Now() + wait, error=text, detail=run.detail)
