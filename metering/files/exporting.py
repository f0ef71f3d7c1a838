"""Long files in the background: asked for by a member, written in pieces by a task, fetched for a week, then gone.

A piece is committed when it is written, with the count so far, so that the page shows progress and a killed writer begins anew. The
file is one gzip stream after the other, which every program reads as one.
"""

from __future__ import annotations

import gzip
import json
import logging
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any, TypeAlias

from django.db import transaction
from django.db.models import F, Q, QuerySet

from metering.event_store import store
from metering.event_store.entries import LedgerEvent
from metering.mail.digest import export_ready
from metering.models import Export, ExportKind, ExportPart, ExportState
from metering.telling import notifications
from tenants.calendar import local_midnight
from tenants.database import replica
from tenants.models import AuditEntry, Membership
from tenants.problems import Conflict, invalid

from .exports import Cell, csv_rows

KEPT = timedelta(days=7)
LEASE = timedelta(minutes=2)
ROWS_AT_ONCE = 5_000
MOST_DAYS = 400
MOST_WAITING = 3
MOST_ATTEMPTS = 3

Row: TypeAlias = list[Cell]
HEADERS = {
    ExportKind.EVENTS: ["time", "meter", "quantity_micro", "source", "id", "dimensions", "corrects", "received_at"],
    ExportKind.TRAIL: ["time", "actor", "operation", "table", "row", "old", "new", "reason"],
}

_SECRET = re.compile("digest|secret|token|password|hash")
"""Columns that no file shows."""

log = logging.getLogger(__name__)


def ask(member: Membership, kind: ExportKind, first: date, last: date, now: datetime) -> Export:
    """Put a file of the days from `first` to `last` (of the tenant's zone, both included) into the queue. Raises Invalid or Conflict."""
    tenant = member.tenant
    if last < first:
        raise invalid("last", "Choose a last day that is not before the first one.", "order")
    if (last - first).days >= MOST_DAYS:
        raise invalid("first", f"Choose at most {MOST_DAYS} days.", "too_long")
    waiting = Export.objects.filter(tenant=tenant, state__in=[ExportState.QUEUED, ExportState.RUNNING])
    if waiting.count() >= MOST_WAITING:
        raise Conflict(f"{MOST_WAITING} files are being written already. Wait for one of them.")
    start, end = (local_midnight(tenant.time_zone, day).astimezone(UTC) for day in (first, last + timedelta(days=1)))
    name = f"{tenant.slug}-{'usage-events' if kind == ExportKind.EVENTS else 'audit-trail'}-{first}-{last}.csv"
    return Export.objects.create(
        tenant=tenant, membership=member, kind=kind, starts_at=start, ends_at=end, filename=name, asked_at=now
    )


def work_queue(now: datetime) -> int:
    """Write what waits and what a killed writer has left, and drop what has expired; how many files were finished."""
    Export.objects.filter(expires_at__lte=now).delete()
    done = 0
    while (export := _claim(now)) is not None:
        try:
            _write(export, now)
            done += 1
        except Exception as error:
            log.exception("export.failed", extra={"export": str(export.public_id)})
            over = export.attempts >= MOST_ATTEMPTS
            mine = Export.objects.filter(pk=export.pk, attempts=export.attempts)
            if over:
                text = f"{type(error).__name__}: the file could not be written. Ask for it again."
                mine.update(state=ExportState.FAILED, error=text, finished_at=now, expires_at=now + KEPT)
            else:
                mine.update(lease_until=now + LEASE)
    return done


def file_of(export: Export) -> Iterator[bytes]:
    """The gzipped pieces in order. Reads as it goes: to be consumed where the rows are visible."""
    for content in export.parts.order_by("position").values_list("content", flat=True).iterator(chunk_size=1):
        yield bytes(content)


def _claim(now: datetime) -> Export | None:
    with transaction.atomic():
        export = (
            Export.objects.select_for_update(skip_locked=True, of=("self",))
            .filter(Q(state=ExportState.QUEUED) | Q(state=ExportState.RUNNING, lease_until__lte=now))
            .select_related("tenant", "membership__user")
            .order_by("pk")
            .first()
        )
        if export is None:
            return None
        export.state, export.attempts, export.rows, export.lease_until = (
            ExportState.RUNNING,
            export.attempts + 1,
            0,
            now + LEASE,
        )
        export.rows_expected = _expected(export)
        export.save(update_fields=["state", "attempts", "rows", "lease_until", "rows_expected"])
        export.parts.all().delete()
    return export


def _write(export: Export, now: datetime) -> None:
    rows, position = iter(_rows(export)), 0
    while True:
        some = list(islice(rows, ROWS_AT_ONCE))
        if not some and position:
            break
        header = HEADERS[ExportKind(export.kind)]
        text = "".join(csv_rows(header, some))
        if position:
            text = text.partition("\r\n")[2]
        with transaction.atomic():
            mine = Export.objects.filter(pk=export.pk, attempts=export.attempts, state=ExportState.RUNNING)
            if not mine.update(rows=F("rows") + len(some), lease_until=now + LEASE * (position + 2)):
                return
            ExportPart.objects.create(
                tenant=export.tenant, export=export, position=position, content=gzip.compress(text.encode(), 6, mtime=0)
            )
        position += 1
        if len(some) < ROWS_AT_ONCE:
            break
    _finish(export, now)


@transaction.atomic
def _finish(export: Export, now: datetime) -> None:
    tenant, user = export.tenant, export.membership.user
    expires_at = now + KEPT
    mine = Export.objects.filter(pk=export.pk, attempts=export.attempts, state=ExportState.RUNNING)
    if not mine.update(state=ExportState.DONE, finished_at=now, expires_at=expires_at, lease_until=None):
        return
    if user.email and user.is_active and export.membership.removed_at is None:
        export.refresh_from_db(fields=["rows"])
        letter = export_ready(tenant.name, tenant.slug, tenant.time_zone, export.filename, export.rows, expires_at)
        notifications.owe(letter, key=f"export:{export.pk}", recipients=[user.email], tenant=tenant, now=now)


def _expected(export: Export) -> int:
    if export.kind == ExportKind.EVENTS:
        return replica.read(lambda: store().count(export.tenant_id, export.starts_at, export.ends_at))[0]
    return replica.read(lambda: _trail(export).count())[0]


def _trail(export: Export) -> QuerySet[AuditEntry]:
    return AuditEntry.objects.filter(tenant=export.tenant, at__gte=export.starts_at, at__lt=export.ends_at).order_by(
        "at", "pk"
    )


def _rows(export: Export) -> Iterable[Row]:
    return map(_event_row, _events(export)) if export.kind == ExportKind.EVENTS else map(_trail_row, _entries(export))


def _events(export: Export) -> Iterator[LedgerEvent]:
    """In pages, each read from the replica where there is one."""
    last: LedgerEvent | None = None

    def page() -> list[LedgerEvent]:
        return store().scan(export.tenant_id, export.starts_at, export.ends_at, after=last, limit=ROWS_AT_ONCE)

    while some := replica.read(page)[0]:
        yield from some
        last = some[-1]


def _entries(export: Export) -> Iterator[AuditEntry]:
    last: AuditEntry | None = None

    def page() -> list[AuditEntry]:
        further = _trail(export)
        if last is not None:
            further = further.filter(Q(at__gt=last.at) | Q(at=last.at, pk__gt=last.pk))
        return list(further[:ROWS_AT_ONCE])

    while some := replica.read(page)[0]:
        yield from some
        last = some[-1]


def _event_row(event: LedgerEvent) -> Row:
    corrects = f"{event.corrects_source} {event.corrects_id}" if event.corrects_id else ""
    return [
        event.time, event.meter, event.quantity_micro, event.source, event.event_id, _json(event.dims), corrects, event.received_at,
    ]  # fmt: skip


def _trail_row(entry: AuditEntry) -> Row:
    return [
        entry.at, entry.actor, entry.operation, entry.table_name, entry.row_id, _json(_changed(entry.old, entry.new)),
        _json(_changed(entry.new, entry.old)), entry.reason,
    ]  # fmt: skip


def _changed(mine: dict[str, Any] | None, other: dict[str, Any] | None) -> dict[str, Any]:
    """What the row had and the other version has not, without fingerprints and secrets."""
    return {
        column: value
        for column, value in (mine or {}).items()
        if not _SECRET.search(column) and (other is None or other.get(column) != value)
    }


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str) if value else ""
