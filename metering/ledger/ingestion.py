"""Books usage events into the ledger: a batch of one tenant, an answer for every item, all in one transaction.

What makes an event the same is (tenant, source, id). The same id with the same content is a success that changes nothing; with other
content it is a conflict. Events too old or too far ahead, and those of a type that no meter has, are kept aside in quarantine, where
operators see them.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeVar

from django.db import OperationalError, transaction

from metering.event_store import floor, store
from metering.event_store.entries import Identity, ParsedEvent
from metering.models import Meter, QuarantinedEvent
from tenants.audit import acting
from tenants.models import Tenant

from . import corrections, marks, quarantine
from .event_parsing import (
    AHEAD,
    OLDEST,
    EventError,
    EventParser,
    EventType,
    from_payload,
    identity_of,
    out_of_bounds,
    unknown_event,
    unknown_payload,
)
from .hours import BillingHours

GONE = (
    "ledger_month_gone",
    "The ledger of that month was removed (LEDGER_KEEP_MONTHS): its hours cannot be summed up anew.",
)

Status = Literal["accepted", "duplicate", "conflict", "rejected"]

OWN_SOURCES = "/portal/"
LARGE_BATCH = 500
TRIES = 4
_RETRIED = {"40001", "40P01", "55P03"}  # serialization failure, deadlock, lock timeout

T = TypeVar("T")


class ItemResult(NamedTuple):
    """What became of one event of a batch. `code` and `detail` explain everything that is not accepted."""

    position: int
    source: str
    id: str
    status: Status
    code: str = ""
    detail: str = ""


Indexed = tuple[int, ParsedEvent]
Results = list[ItemResult | None]


def book(tenant: Tenant, events: Sequence[Any], now: datetime, *, own: bool = False) -> list[ItemResult]:
    """Book `events` (CloudEvents as Python mappings, see event_parsing) for `tenant`; one result per event, in order.

    Works inside and outside of a tenant scope. Either every accepted event is in the ledger, its hour marked for a new rollup, or the
    call raises and nothing was written; a deadlock or serialization failure is tried again up to three times. `now` is aware.
    Only the portal's `own` readings may have, or correct, a source below OWN_SOURCES.
    """
    parser = EventParser(event_types(), tenant.slug)
    results: Results = [None] * len(events)
    parsed: list[Indexed] = []
    unknown: list[tuple[Identity, dict[str, Any]]] = []
    with _undisturbed(len(events)):
        for index, event in enumerate(events):
            try:
                parsed.append((index, parser.parse(event) if own else _foreign(parser.parse(event))))
            except EventError as error:
                source, event_id = identity_of(event)
                results[index] = ItemResult(index, source, event_id, "rejected", error.code, error.detail)
                if error.code == quarantine.UNKNOWN and (own or not source.startswith(OWN_SOURCES)):
                    payload = unknown_payload(event, tenant.slug)
                    if payload and (
                        own or not (payload["corrects"] and payload["corrects"][0].startswith(OWN_SOURCES))
                    ):
                        unknown.append(((source, event_id), payload))
        if unknown:
            quarantine.keep_unknown(tenant, unknown)
        if parsed:
            retried(lambda: _book(tenant, parsed, results, now))
    return [result for result in results if result is not None]


@contextmanager
def _undisturbed(size: int) -> Iterator[None]:
    """Keep Python's cycle collector from going through the whole heap again and again while a large batch is made.

    It would take as long as booking the batch, and find nothing: there are no cycles here.
    """
    if size < LARGE_BATCH or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def release(row: QuarantinedEvent, now: datetime, *, actor: str, reason: str) -> ItemResult:
    """Book an event that waits in quarantine after all, at its own time, however old; `reason` is kept with it.

    Nothing changes unless it is accepted (or known by now), and a second release changes nothing more: an event of a type that still
    has no meter answers as `unknown_meter`. Not for a tenant scope.
    """
    try:
        event = _of_quarantine(row)
    except EventError as error:
        return ItemResult(0, row.source, row.event_id, "rejected", error.code, error.detail)
    if floor.is_gone(event.time):
        return ItemResult(0, row.source, row.event_id, "rejected", *GONE)
    results: Results = [None]
    with acting(actor, reason):
        retried(lambda: _book(row.tenant, [(0, event)], results, now, at_any_time=True))
        result = results[0]
        assert result is not None  # noqa: S101
        if result.status in ("accepted", "duplicate"):
            QuarantinedEvent.objects.filter(pk=row.pk).update(resolved_at=now, resolution=f"Booked: {reason}"[:300])
    return result


def _of_quarantine(row: QuarantinedEvent) -> ParsedEvent:
    if row.reason != quarantine.UNKNOWN:
        return from_payload(row.source, row.event_id, row.payload)
    parser = EventParser(event_types(), row.tenant.slug)
    return parser.parse(unknown_event(row.source, row.event_id, row.payload))


def _foreign(event: ParsedEvent) -> ParsedEvent:
    """The event, unless it speaks for one of our collectors: then a key could take the ids of readings to come, or correct them away."""
    if event.source.startswith(OWN_SOURCES) or (event.corrects and event.corrects[0].startswith(OWN_SOURCES)):
        raise EventError("reserved_source", f"Sources below {OWN_SOURCES} are the portal's own readings.")
    return event


def event_types() -> dict[str, EventType]:
    """What each event type means, from the meters."""
    return {
        name: EventType(meter.key, factor, meter.display_factor)
        for meter in Meter.objects.order_by("-position")
        for name, factor in meter.event_types.items()
    }


def retried(work: Callable[[], T]) -> T:
    """`work()` in a transaction (or savepoint), tried again when another transaction was in its way."""
    for attempt in range(1, TRIES + 1):
        try:
            with transaction.atomic():
                return work()
        except OperationalError as error:
            if attempt == TRIES or getattr(error.__cause__, "sqlstate", None) not in _RETRIED:
                raise
            time.sleep(random.uniform(0.01, 0.05) * attempt)  # noqa: S311
    raise AssertionError("unreachable")


def _book(tenant: Tenant, parsed: list[Indexed], results: Results, now: datetime, *, at_any_time: bool = False) -> None:
    first: dict[tuple[str, str], ParsedEvent] = {}
    usage: list[Indexed] = []
    fixes: list[Indexed] = []
    aside: list[Indexed] = []
    earliest, latest = now - OLDEST, now + AHEAD
    for index, event in parsed:
        twin = first.setdefault((event.source, event.id), event)
        if twin is not event:
            results[index] = _seen(index, event, twin.fingerprint)
        elif not earliest <= event.time <= latest and not at_any_time:
            aside.append((index, event))
        else:
            (usage if event.corrects is None else fixes).append((index, event))
    _store(tenant, usage, results)
    if fixes:
        _correct(tenant, fixes, results)
    if aside:
        _set_aside(tenant, aside, results, now)


def _correct(tenant: Tenant, batch: list[Indexed], results: Results) -> None:
    """Book corrections, after the batch's other events: they may be what is corrected."""
    targets = {event.corrects for _, event in batch if event.corrects}
    store().lock(tenant.pk, targets)
    known = store().fingerprints(tenant.pk, [(event.source, event.id) for _, event in batch])
    found = store().originals(tenant.pk, targets)
    placed = []
    for index, event in batch:
        fingerprint = known.get((event.source, event.id))
        if fingerprint is not None:
            results[index] = _seen(index, event, fingerprint)
            continue
        try:
            placed.append((index, corrections.place(event, found.get(event.corrects or ("", "")))))
        except EventError as error:
            results[index] = ItemResult(index, event.source, event.id, "rejected", error.code, error.detail)
    _store(tenant, placed, results)


def _set_aside(tenant: Tenant, batch: list[Indexed], results: Results, now: datetime) -> None:
    """Keep what lies outside the bounds, unless it is an old acquaintance that is only sent again."""
    known = store().fingerprints(tenant.pk, [(event.source, event.id) for _, event in batch])
    reasons: list[tuple[int, ParsedEvent, str, str]] = []
    for index, event in batch:
        fingerprint = known.get((event.source, event.id))
        if fingerprint is not None:
            results[index] = _seen(index, event, fingerprint)
        else:
            reasons.append((index, event, *(out_of_bounds(event.time, now) or ("", ""))))
    room = quarantine.keep(tenant, [(event, code, detail) for _, event, code, detail in reasons])
    for position, (index, event, code, detail) in enumerate(reasons):
        if position >= room:
            code, detail = quarantine.FULL
        results[index] = ItemResult(index, event.source, event.id, "rejected", code, detail)


def _store(tenant: Tenant, batch: list[Indexed], results: Results) -> None:
    """Book well-formed events, mark their hours, and say which were known already."""
    if not batch:
        return
    known = store().write(tenant.pk, [event for _, event in batch])
    minutes: dict[tuple[str, str], datetime] = {}
    for index, event in batch:
        fingerprint = known.get((event.source, event.id)) if known else None
        if fingerprint is None:
            results[index] = ItemResult(index, event.source, event.id, "accepted")
            minutes[event.meter, event.time_text[:16]] = event.time
        else:
            results[index] = _seen(index, event, fingerprint)
    # Billing hours begin on full minutes in every zone, so one event of a minute stands for all of it.
    hours = BillingHours(tenant)
    marks.mark(tenant.pk, {(meter, hours.start_of(at)) for (meter, _), at in minutes.items()})
    if QuarantinedEvent.objects.filter(tenant=tenant, resolved_at=None).exists():
        quarantine.resolve_booked(tenant, [(event.source, event.id) for _, event in batch])


def _seen(index: int, event: ParsedEvent, fingerprint: str) -> ItemResult:
    if event.fingerprint == fingerprint:
        return ItemResult(
            index, event.source, event.id, "duplicate", "duplicate", "Known already; nothing was changed."
        )
    detail = "An event with this source and id, but another content, is known. Give a new fact a new id."
    return ItemResult(index, event.source, event.id, "conflict", "conflict", detail)
