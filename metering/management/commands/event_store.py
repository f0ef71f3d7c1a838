"""`manage.py event_store`: where usage events are kept, and the way into ClickHouse."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from metering.event_store import copying, floor, schema, store
from metering.event_store.client import Client, connect
from metering.event_store.protocol import StoreUnavailableError
from metering.ledger import rollups
from tenants.models import Tenant


class Command(BaseCommand):
    """See docs/operations.md, "ClickHouse"."""

    help = "Show where usage events are kept; make ClickHouse's tables; copy PostgreSQL's ledger there."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "act", choices=("status", "setup", "sql", "copy", "settle", "rebuild"), nargs="?", default="status",
            help="status: months and what waits; setup: make ClickHouse's tables; sql: print them; "
            "copy: PostgreSQL's ledger into ClickHouse, compared; settle: move what waits now; rebuild: sum up every hour since --since anew",
        )  # fmt: skip

        parser.add_argument("--since", type=_instant, help="for rebuild: an instant, such as 2026-07-01T00:00Z")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._rebuild(options["since"]) if options["act"] == "rebuild" else getattr(self, f"_{options['act']}")()
        except StoreUnavailableError as error:
            raise CommandError(str(error)) from error

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

    def _setup(self) -> None:
        client = self._client()
        schema.make(client)
        self.stdout.write(f"The tables are there: {client.where()}")

    def _sql(self) -> None:
        self.stdout.write(";\n".join(table.strip() for table in schema.TABLES) + ";")

    def _copy(self) -> None:
        differing = 0
        for month in copying.copy(self._client()):
            differing += len(month.differences)
            state = "the same" if not month.differences else f"{len(month.differences)} sums differ"
            self.stdout.write(f"  {month.month}  {month.rows:>12,} rows copied; {state}")
            for (tenant, meter), (here, there) in sorted(month.differences.items())[:20]:
                self.stdout.write(f"    tenant {tenant} {meter}: PostgreSQL {here}, ClickHouse {there} (events, micro)")
        if differing:
            raise CommandError("The ledgers differ. Events that were booked meanwhile are one reason: copy again.")
        self.stdout.write("Both ledgers say the same.")

    def _settle(self) -> None:
        began = time.monotonic()
        moved = store().settle()
        self.stdout.write(f"{moved:,} events moved in {time.monotonic() - began:.1f} s.")

    def _rebuild(self, since: datetime | None) -> None:
        if since is None:
            raise CommandError("Say since when: --since 2026-07-01T00:00Z.")
        now = timezone.now()
        for tenant in Tenant.objects.order_by("pk"):
            rollups.rebuild(tenant, since, now + timedelta(days=1))
        self.stdout.write(f"{rollups.run(now):,} hours summed up.")

    def _client(self) -> Client:
        try:
            return connect(settings.CLICKHOUSE_URL)
        except ValueError as error:
            raise CommandError(f"{error}.") from error


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("an offset is missing, such as Z")
    return instant
