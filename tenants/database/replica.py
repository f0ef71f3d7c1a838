"""Heavy reports from a read replica: the one door to it.

    found, as_of = replica.read(lambda: explorer.explore(…))

Inside, every statement of this thread goes to the replica, raw or by the ORM, in one read-only transaction under the same tenant and
role as outside, so that row security holds there too. `as_of` says how old the answer may be; it is None where the primary gave it:
without DATABASE_REPLICA_URL, and while the replica is away, hangs, is too far behind, or asked for something that it cannot do (a write).

Money is never decided upon from here: a replica refuses every write, and what is invoiced, enforced or told by mail is read outside.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import psycopg
from django.conf import settings
from django.db import InterfaceError, InternalError, OperationalError, connections, transaction
from django.utils import timezone
from psycopg_pool import PoolTimeout

from .impatient import patience

T = TypeVar("T")

ALIAS = "replica"
BREAK_SECONDS = 10.0
"""How long nobody asks a replica that was away: every attempt could cost a connection's timeout."""

_READ_ONLY = "25006"
_inside: ContextVar[bool] = ContextVar("replica", default=False)
_away_until = 0.0

log = logging.getLogger(__name__)


class _TooOldError(Exception):
    """The replica is further behind than DATABASE_REPLICA_MAX_LAG_SECONDS."""


def configured() -> bool:
    """Whether this installation has a replica."""
    return ALIAS in settings.DATABASES


def inside() -> bool:
    """Whether the code that asks reads from the replica now."""
    return _inside.get()


def headers(as_of: datetime | None) -> dict[str, str]:
    """The response header that says as of when the figures are, where they were read from a replica."""
    return {"X-Report-As-Of": as_of.isoformat(timespec="seconds")} if as_of else {}


def read(work: Callable[[], T]) -> tuple[T, datetime | None]:
    """`work()`, and as of when its answer is (UTC; None: now). `work` may run twice, and must not return what reads later."""
    global _away_until
    if configured() and not inside() and time.monotonic() >= _away_until:
        try:
            with _on_replica() as as_of:
                return work(), as_of
        except _TooOldError as error:
            log.warning("replica.too_old", extra={"behind_seconds": str(error)})
        except (OperationalError, InterfaceError, InternalError) as error:
            if not isinstance(error.__cause__, psycopg.Error):
                raise  # of something else that the work asks, such as ClickHouse: the primary could not help
            if error.__cause__.sqlstate == _READ_ONLY:
                log.info("replica.asked_to_write")  # a billing period that nobody has needed yet, say
            else:
                _away_until = time.monotonic() + BREAK_SECONDS
                log.warning("replica.away", extra={"error": str(error)[:200]})
    return work(), None


def read_all(make: Callable[[], Iterable[T]]) -> tuple[list[T], datetime | None]:
    """`read` of everything that an iterator gives."""
    return read(lambda: list(make()))


@contextmanager
def _on_replica() -> Iterator[datetime]:
    primary, other = connections["default"], connections[ALIAS]
    role, tenant = _scope(primary)
    connections["default"] = other
    token = _inside.set(True)
    try:
        with transaction.atomic(), other.cursor() as cursor:
            cursor.execute("SELECT at, clock_timestamp() FROM tenants_pulse")
            row = cursor.fetchone()
            at = row[0].astimezone(UTC) if row else datetime.min.replace(tzinfo=UTC)
            behind = (row[1] - row[0]) if row else timedelta.max
            if behind > timedelta(seconds=settings.DATABASE_REPLICA_MAX_LAG_SECONDS):
                raise _TooOldError(str(behind.total_seconds()) if row else "unknown: no pulse")
            cursor.execute("SELECT set_config('app.tenant', %s, true), set_config('role', %s, true)", [tenant, role])
            with patience(settings.DATABASE_REPLICA_ANSWER_SECONDS):
                yield at
    finally:
        _inside.reset(token)
        connections["default"] = primary


def _scope(primary: object) -> tuple[str, str]:
    """The role and the tenant of the transaction that is open on the primary, if one is."""
    if not primary.in_atomic_block:  # type: ignore[attr-defined]
        return "none", ""
    with primary.cursor() as cursor:  # type: ignore[attr-defined]
        cursor.execute("SELECT current_setting('role', true), current_setting('app.tenant', true)")
        role, tenant = cursor.fetchone()
    return role or "none", tenant or ""


def beat() -> bool:
    """Write the time on the primary: how old it is on the replica says how far that is behind. Only where there is one."""
    if not configured():
        return False
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "INSERT INTO tenants_pulse (id, at) VALUES (1, clock_timestamp()) ON CONFLICT (id) DO UPDATE SET at = EXCLUDED.at"
        )
    return True


def behind() -> timedelta | None:
    """How far the replica is behind, at most, within a beat's length. None: it has never heard of a beat. Raises when it is away, with why."""
    other = connections[ALIAS]
    try:
        other.ensure_connection()
    except OperationalError as error:
        if isinstance(error.__cause__, PoolTimeout):  # which says no more than that
            psycopg.connect(**other.get_connection_params()).close()
        raise
    with other.cursor() as cursor:
        cursor.execute("SELECT at FROM tenants_pulse")
        row = cursor.fetchone()
    return timezone.now() - row[0] if row else None
