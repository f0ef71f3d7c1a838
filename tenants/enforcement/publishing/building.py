"""Building tenants that Redis does not have in its present life: after FLUSHALL, a restart, a failover, or for the first time.

What Redis still holds of an earlier generation goes to the ledger first; then a new counting generation starts with what the ledger
knows. Nothing is granted before that: the deciding script refuses a tenant whose generation is not the server's.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from datetime import timedelta

from django.db import DatabaseError, InterfaceError, connections
from django.db.models import QuerySet
from django.utils import timezone

from ... import access
from ...limits import API_CALLS
from ...models import Tenant
from ...models.membership import ID_ALPHABET
from .. import metrics
from ..counting import ledger, usage_hash
from ..counting.counts import ProcessCounts
from ..counting.ledger import CallCount
from ..errors import RedisUnavailableError, UnknownTenantError
from ..protocol import keys
from ..protocol.scripts import BEGIN, REBASE
from ..redis.cluster import Control
from ..redis.control import TIME_TO_LIVE, control
from . import policy
from .reading import months_of

log = logging.getLogger(__name__)

ATTEMPTS = 5
SLUGS_EVERY = 2.0
"""Seconds between looks at which tenants exist: whatever is asked for, unknown slugs cost one query in this time."""

PAUSE_AFTER_FAILURE = 1.0
WAIT_FOR_OTHERS = 2.0


class TenantBuilder:
    """Builds each tenant once at a time in this process, and refuses unknown slugs without asking the database for each."""

    def __init__(self, counts: ProcessCounts) -> None:
        self._counts = counts
        self._guard = threading.Lock()
        self._building: dict[str, threading.Event] = {}
        self._slugs: set[str] = set()
        self._slugs_at = float("-inf")
        self._failed_at = float("-inf")

    def build(self, slug: str) -> None:
        """Build the tenant, or wait until another thread has.

        Raises UnknownTenantError, or RedisUnavailableError (reason "ledger" when the database is what is missing).
        """
        if time.monotonic() - self._failed_at < PAUSE_AFTER_FAILURE:
            raise RedisUnavailableError("ledger", "the database failed a moment ago")
        try:
            with (
                access.outside()
            ):  # a page may ask within its tenant's scope, in which nothing else is seen and little written
                if slug == keys.PLATFORM:
                    self._once(slug, build_platform)
                else:
                    self._require_known(slug)
                    self._once(slug, lambda: build_tenant(slug, self._counts))
        except (DatabaseError, InterfaceError, ledger.LedgerMissingError) as error:
            self._failed_at = time.monotonic()
            metrics.REBUILDS.labels("failed").inc()
            log.warning("tenant not built: the database failed", extra={"tenant": slug, "error": str(error)[:200]})
            connections.close_all()
            raise RedisUnavailableError("ledger", "the database failed") from error

    def _once(self, slug: str, action: Callable[[], None]) -> None:
        with self._guard:
            running = self._building.get(slug)
            if running is None:
                mine = self._building[slug] = threading.Event()
        if running is not None:
            running.wait(WAIT_FOR_OTHERS)
            return
        try:
            action()
            metrics.REBUILDS.labels("built").inc()
        finally:
            with self._guard:
                del self._building[slug]
            mine.set()

    def _require_known(self, slug: str) -> None:
        if slug in self._slugs:
            return
        with self._guard:
            if time.monotonic() - self._slugs_at > SLUGS_EVERY:
                self._slugs = set(Tenant.objects.values_list("slug", flat=True))
                self._slugs_at = time.monotonic()
        if slug not in self._slugs:
            raise UnknownTenantError(slug)


def build_platform() -> None:
    """The operators' pseudo tenant: windows and tokens; nothing is counted, so there is nothing to carry over."""
    policy.publish_operators_now()
    _begin(control(), keys.PLATFORM, known="0:0", fields=[])


def build_tenant(slug: str, counts: ProcessCounts | None = None) -> None:
    """Carry what Redis still has over to the ledger, publish, and start a counting generation with what the ledger knows."""
    tenant = Tenant.objects.get(slug=slug)
    if counts is not None:
        counts.flush(ledger.current().record_process_counts)
    for _ in range(ATTEMPTS):
        connection = control()
        if _counting(connection, slug):
            policy.publish_now(tenant.pk)  # built by another process meanwhile, or only out of date
            return
        there = usage_hash.read_usage(connection, slug)
        ledger.current().record_redis_counts(usage_hash.call_counts(tenant.pk, there))
        policy.publish_now(tenant.pk)
        if _begin(connection, slug, known=_checksum(there), fields=_opening(tenant)):
            log.info("tenant built in redis", extra={"tenant": slug})
            return
    raise RedisUnavailableError("not_built", f"{slug} kept changing")


def rebase(slug: str) -> int:
    """Correct the month's calls in Redis by what the ledger has learnt of earlier generations since this one began.

    (Another process's last second, or calls that were admitted locally.) Returns the correction. Raises RedisUnavailableError.
    """
    tenant = Tenant.objects.get(slug=slug)
    connection = control()
    counting = _counting(connection, slug)
    if not counting:
        return 0
    now = timezone.now()
    correction = 0
    for month in months_of(tenant, now)[:2]:
        used = ledger.current().used(tenant.pk, API_CALLS, month.start, month.end, except_generation=counting.decode())
        month_field, base_field = keys.month_field(month.key), keys.base_field(month.key)
        where = (keys.tenant_key(slug), keys.usage_key(slug))
        server = keys.generation_field(connection.generation_of(slug))
        correction += int(connection.script(REBASE, *where, server, counting, base_field, month_field, used))
    return correction


def rebase_after(rows: Iterable[CallCount]) -> None:
    """After a process's counts reached the ledger: correct the tenants for whom some belong to an earlier generation.

    Raises RedisUnavailableError, once those are corrected whose servers answer.
    """
    if not rows:
        return
    generations: dict[int, set[str]] = {}
    for row in rows:
        generations.setdefault(row.tenant_id, set()).add(row.generation)
    connection = control()

    def correct(tenant_id: int, slug: str) -> int:
        return rebase(slug) if generations[tenant_id] - {_counting(connection, slug).decode()} else 0

    _each(Tenant.objects.filter(pk__in=generations), correct)


def rebase_all() -> int:
    """`rebase` every tenant; answers how many were corrected. Raises as `rebase_after`."""
    return _each(Tenant.objects.order_by("pk"), lambda _, slug: rebase(slug))


def _each(tenants: QuerySet[Tenant], correct: Callable[[int, str], int]) -> int:
    """How many tenants were corrected. A master of a cluster that is away keeps the others' tenants from nothing, and is told at the end."""
    ids = dict(tenants.values_list("slug", "pk"))
    done, failed = 0, None
    for group in control().groups(ids):
        try:
            for slug in ids.keys() & group:
                done += bool(correct(ids[slug], slug))
        except RedisUnavailableError as error:
            failed = error  # of these no other is asked either: each would wait
    if failed:
        raise failed
    return done


def _counting(connection: Control, slug: str) -> bytes:
    """The tenant's counting generation in the server's present life; empty when it was not built in it."""
    found: bytes | None = connection.command(
        "HGET", keys.tenant_key(slug), keys.generation_field(connection.generation_of(slug))
    )
    return found or b""


def _begin(connection: Control, slug: str, *, known: str, fields: list[str | int]) -> bool:
    counting = "".join(secrets.choice(ID_ALPHABET) for _ in range(8))
    where = (keys.tenant_key(slug), keys.usage_key(slug))
    server = keys.generation_field(connection.generation_of(slug))
    return bool(connection.script(BEGIN, *where, server, counting, TIME_TO_LIVE, known, *fields))


def _opening(tenant: Tenant) -> list[str | int]:
    """Fields with which a counting generation opens: what the ledger has for the month, and for the last one while clocks may differ."""
    fields: list[str | int] = []
    now = timezone.now()
    for month in months_of(tenant, now):
        if month.start <= now + timedelta(hours=2):
            used = ledger.current().used(tenant.pk, API_CALLS, month.start, month.end)
            fields += [keys.month_field(month.key), used, keys.base_field(month.key), used]
    return fields


def _checksum(there: dict[bytes, int]) -> str:
    return f"{len(there)}:{sum(there.values())}"
