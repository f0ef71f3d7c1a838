"""`manage.py event_store`: where usage events are kept, and the way into ClickHouse."""

from __future__ import annotations

import time
from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from metering import housekeeping
from metering.event_store import copying, floor, schema, store
from metering.event_store.clickhouse import ClickHouseStore
from metering.event_store.client import Client, connect
from metering.event_store.protocol import EventStore, StoreUnavailableError
from metering.ledger import rollups
from tenants.models import Tenant

SAY_EVERY = 10.0
"""Seconds between two lines of progress."""
MOST_DIFFERENCES = 20
HOUR = 3600
GOES_ON = "Run it again: it goes on where it was, and copies nothing twice that is the same already."


class Command(BaseCommand):
    """See docs/operations.md, "ClickHouse"."""

    help = "Show where usage events are kept; make ClickHouse's tables; copy PostgreSQL's ledger there."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "act", choices=("status", "setup", "sql", "copy", "compare", "settle", "retire", "rebuild"), nargs="?", default="status",
            help="status: months and what waits; setup: make ClickHouse's tables; sql: print them; copy: PostgreSQL's ledger into ClickHouse, compared; "
            "compare: only that; settle: move what waits now; retire: remove months past LEDGER_KEEP_MONTHS now; rebuild: sum up every hour since --since anew",
        )  # fmt: skip
        parser.add_argument("--since", type=_instant, help="for rebuild: an instant, such as 2026-07-01T00:00Z")
        parser.add_argument(
            "--month", action="append", type=_month, metavar="YYYYMM", help="for copy and compare: only this month; may be given again"
        )  # fmt: skip
        parser.add_argument(
            "--detach", action="store_true", default=None, help="for retire: set the months aside instead, whatever LEDGER_RETIRE says"
        )  # fmt: skip
        parser.add_argument(
            "--timeout", type=_seconds, default=HOUR, metavar="SECONDS",
            help="how long a statement may take in ClickHouse (%(default)s; CLICKHOUSE_TIMEOUT_SECONDS is for pages and tasks)",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        act, self._seconds, self._months = options["act"], options["timeout"], options["month"]
        self._detach = options["detach"]
        try:
            self._rebuild(options["since"]) if act == "rebuild" else getattr(self, f"_{act}")()
        except StoreUnavailableError as error:
            raise CommandError(f"{error}" + (f" {GOES_ON}" if act == "copy" else "")) from error
        except KeyboardInterrupt as error:
            raise CommandError(f"Stopped. {GOES_ON}" if act == "copy" else "Stopped.") from error

    def _status(self) -> None:
        kept = store()
        waiting, since = kept.backlog()
        self.stdout.write(f"Usage events are kept in {kept.name}.")
        for month in kept.months():
            self.stdout.write(f"  {month.key}  {month.rows:>15,} rows  {month.bytes / 2**20:>12,.1f} MiB")
        self.stdout.write(
            f"On their way: {waiting:,}" + (f", the oldest since {since:%Y-%m-%d %H:%M:%S} UTC" if since else "")
        )
        if (oldest := floor.since()) is not None:
            self.stdout.write(f"Months before {oldest:%Y-%m} were removed.")
        for key, reason in sorted(floor.held_back().items()):
            self.stdout.write(f"{key} is past its time and waits: {reason}.")

    def _setup(self) -> None:
        client = self._client()
        schema.make(client)
        self.stdout.write(f"The tables are there: {client.where()}")

    def _sql(self) -> None:
        self.stdout.write(";\n".join(table.strip() for table in schema.TABLES) + ";")

    def _copy(self) -> None:
        progress, differing = Progress(self), 0
        for month in copying.copy(self._client(), self._spans(), progress.tell):
            differing += self._say(month.month, f"{month.rows:>12,} rows copied; ", month.differences)
        if differing:
            raise CommandError("The ledgers differ. Events that were booked meanwhile are one reason: copy again.")
        self.stdout.write("Both ledgers say the same.")

    def _compare(self) -> None:
        client, differing = self._client(), 0
        for span in self._spans():
            differing += self._say(span.name, "", copying.compare(client, span.start, span.end))
        if differing:
            raise CommandError("The ledgers differ. `manage.py event_store copy` copies what ClickHouse lacks.")
        self.stdout.write("Both ledgers say the same.")

    def _say(self, month: str, copied: str, differences: copying.Differences) -> int:
        """One line for a month, and one for each of the first sums that differ."""
        state = "the same" if not differences else f"{len(differences):,} sums differ"
        self.stdout.write(f"  {month:<6}  {copied}{state}")
        for (tenant, meter), (here, there) in list(differences.items())[:MOST_DIFFERENCES]:
            self.stdout.write(f"    tenant {tenant} {meter}: PostgreSQL {here}, ClickHouse {there} (events, micro)")
        if len(differences) > MOST_DIFFERENCES:
            self.stdout.write(f"    and {len(differences) - MOST_DIFFERENCES:,} more")
        return len(differences)

    def _spans(self) -> list[copying.Span]:
        found = copying.spans()
        if not self._months:
            return found
        if unknown := set(self._months) - {span.name for span in found}:
            raise CommandError(f"PostgreSQL's ledger has no month {', '.join(sorted(unknown))}.")
        return [span for span in found if span.name in self._months]

    def _settle(self) -> None:
        began = time.monotonic()
        moved = self._patient_store().settle()
        self.stdout.write(f"{moved:,} events moved in {time.monotonic() - began:.1f} s.")

    def _retire(self) -> None:
        if not settings.LEDGER_KEEP_MONTHS:
            raise CommandError("LEDGER_KEEP_MONTHS is 0: the ledger is kept for ever.")
        self._patient_store()
        detached = self._detach or settings.LEDGER_RETIRE == "detach"
        retired = list(housekeeping.retire_months(timezone.now(), detach=self._detach))
        for key in retired:
            self.stdout.write(f"  {key}  {'detached' if detached else 'removed'}")
        waiting = floor.held_back()
        for key, reason in sorted(waiting.items()):
            self.stdout.write(f"  {key}  waits: {reason}")
        if not retired and not waiting:
            self.stdout.write(
                "No month is left to go; one that another process has in hand is a row of admin → Job runs."
            )

    def _rebuild(self, since: datetime | None) -> None:
        if since is None:
            raise CommandError("Say since when: --since 2026-07-01T00:00Z.")
        self._patient_store()
        now = timezone.now()
        for tenant in Tenant.objects.order_by("pk"):
            rollups.rebuild(tenant, since, now + timedelta(days=1))
        self.stdout.write(f"{rollups.run(now):,} hours summed up.")

    def _patient_store(self) -> EventStore:
        """The installation's store, of which nobody else in this process wants a quick answer."""
        kept = store()
        if isinstance(kept, ClickHouseStore):
            kept.client.seconds = self._seconds
        return kept

    def _client(self) -> Client:
        try:
            return connect(settings.CLICKHOUSE_URL, seconds=self._seconds)
        except ValueError as error:
            raise CommandError(f"{error}.") from error


class Progress:
    """A line every ten seconds: how far a month is, how fast it goes, and how long it will take."""

    def __init__(self, command: BaseCommand) -> None:
        self._command, self._month, self._began, self._said = command, "", 0.0, 0.0

    def tell(self, month: str, rows: int, of: int) -> None:
        now = time.monotonic()
        if month != self._month:
            # The first portion is of the time before it: what is told is the rate from here on.
            self._month, self._began, self._said, self._first = month, now, now, rows
            return
        if now - self._said < SAY_EVERY:
            return
        self._said = now
        rate = (rows - self._first) / (now - self._began)
        left = timedelta(seconds=round((of - rows) / rate)) if rate else "?"
        self._command.stdout.write(f"  {month:<6}  {rows:>12,} of {of:,} rows, {rate:,.0f} a second, {left} left")


def _month(text: str) -> str:
    try:
        return f"{datetime.strptime(text, '%Y%m').replace(tzinfo=UTC):%Y%m}"
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no month such as 202607") from error


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no instant such as 2026-07-01T00:00Z") from error
    if instant.tzinfo is None:
        raise ArgumentTypeError(f"{text!r} lacks its offset: write 2026-07-01T00:00Z")
    return instant


def _seconds(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 7 * 86_400:
        raise ArgumentTypeError(f"{text!r} is no number of seconds from 1 to a week's")
    return int(text)
