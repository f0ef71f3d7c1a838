"""What every engine of the ledger promises. tests/metering/event_store runs one suite over all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from django.db import OperationalError

from .entries import Identity, LedgerEvent, Month, Original, ParsedEvent, Relation, TouchedHour


class StoreUnavailableError(OperationalError):
    """The engine did not answer, or refused. Nothing was booked; who asked may ask again (the API says 503).

    `lasting`: not before somebody has mended what it says.
    """

    def __init__(self, text: str, *, lasting: bool = False) -> None:
        super().__init__(text)
        self.lasting = lasting


class EventStore(Protocol):
    """The ledger. Writing takes effect with the caller's PostgreSQL transaction, or not at all; nothing is ever edited.

    An event is accepted once for (tenant, source, id), whatever its time. What was committed before a reading began is in it, exactly
    once. Every method but those of the last group serves one tenant, and reaches no other's events.
    """

    name: str
    moves_on: bool
    """Whether booked events wait until `settle` takes them to another server."""

    # -------------------------------------------------------------------------------------------------------- writing

    def write(self, tenant_id: int, events: Sequence[ParsedEvent]) -> dict[Identity, str]:
        """Book the events whose identity is new; answer the fingerprints of those that were known.

        The identities in `events` differ from each other. Of two transactions with the same identity the second waits for the first.
        """

    def fingerprints(self, tenant_id: int, identities: Iterable[Identity]) -> dict[Identity, str]:
        """Fingerprints of those of the identities that the ledger knows."""

    def lock(self, tenant_id: int, identities: Iterable[Identity]) -> None:
        """Keep other corrections of these events waiting until the transaction ends. Nothing is read before: a statement that waits
        for a lock still sees the ledger as it was when it began."""

    def originals(self, tenant_id: int, identities: Iterable[Identity]) -> dict[Identity, Original]:
        """Those of the events that exist, as they stand now."""

    # -------------------------------------------------------------------------------------------------------- reading

    def amounts(self, tenant_id: int, touched: Sequence[TouchedHour]) -> Relation:
        """What was booked in the touched hours, for a statement with a table `touched (meter, hour, until)` of them: rows of
        (meter, hour, dims as jsonb, micro, events). Rows of the same hour and dims add up. Parameter names begin with `event_`."""

    def micro(self, tenant_id: int, meter: str, spans: Sequence[tuple[datetime, datetime]]) -> int:
        """The sum over the spans [start, end), which do not overlap, in micro base units."""

    def scan(
        self, tenant_id: int, start: datetime, end: datetime, *, meter: str | None = None, after: LedgerEvent | None = None,
        limit: int | None = None,
    ) -> list[LedgerEvent]:  # fmt: skip
        """Events of [start, end) in order of (time, seq): those behind `after`, at most `limit`."""

    def count(self, tenant_id: int, start: datetime, end: datetime) -> int:
        """How many events [start, end) has."""

    def touched_minutes(self, tenant_id: int, start: datetime, end: datetime) -> set[tuple[str, datetime]]:
        """(meter, minute) of every event of [start, end)."""

    # -------------------------------------------------------------------------------------------------------- keeping

    def settle(self) -> int:
        """Bring what waits to where it stays; answers how many events were moved. Safe at any time, in any number, and to be killed."""

    def backlog(self) -> tuple[int, datetime | None]:
        """How many events wait to be settled, and since when the oldest does."""

    def make_months(self, first: datetime, last: datetime) -> int:
        """Make the missing months (UTC) that cover [first, last]; answers how many."""

    def months(self) -> list[Month]:
        """The months that are kept, oldest first, sizes as the engine's statistics have them."""

    def drop_month(self, key: str, *, rows_at_once: int, detach: bool = False) -> Iterable[int]:
        """Remove a month ('YYYYMM') with its identities, in pieces that each can be repeated; yields how many rows went so far.

        Only for a month in which nothing will be booked again. With `detach` its events are set aside where an administrator finds
        them (PostgreSQL: the table `archived_usageevent_YYYYMM`; ClickHouse: detached parts), and no longer belong to the ledger."""
