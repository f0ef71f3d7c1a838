"""A month of the ledger in ClickHouse at its size: what it takes on disk, and what the product's own questions to it cost.

    BENCH_LEDGER_ROWS=1e9 BENCH_FOLDER=/with/30/GB make bench ARGS=metering_ledger_size       (about ten million rows without)

The rows are made inside the engine (INSERT … SELECT FROM numbers) into the product's own tables, in the order in which they would arrive: each
part on disk has a slice of the month with all thousand tenants in it, the first of whom has a tenth of everything. Merges are held until
everything was asked once, so the first numbers are those of the worst moment; then one is asked again after the merges that ten times more
memory of time allow. Everything that is asked goes through the product's code. One more tenant's events are booked as usual, by the product,
into PostgreSQL as the engine and beside that month into ClickHouse: both must say the same.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.database import measure, private_database
from bench.metering_event_store import events, totals
from bench.report import Report

NAME = "metering: a month of the ledger at its size"
GOALS = {"bytes_per_event": ("<=", 80.0), "engines_agree": ("==", 1.0), "totals_are_true": ("==", 1.0)}

ROWS, QUICK_ROWS = 10_000_000, 2_000_000
ROWS_A_PART = 8_000_000
IDENTITIES = 0.1
"""Identities that are filled in, per row: they are as large as the rest, and looking for them costs the same among ten times as many."""
TENANTS, SMALL = 1_000, 7_207
"""Of 8 million rows of a part: a small tenant's, 999 times; the first tenant has the rest, a tenth."""
FIRST_TENANT = 1_000_001
LONG_SECONDS = 3.0
"""What takes more CPU is asked once, the rest three times."""
MEMORY, THREADS = 6_000_000_000, 2
MONTH = datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 8, 1, tzinfo=UTC)
MERGED_UP_TO = 110_000_000
SHARED_BATCHES, BATCH = 50, 1_000


def run(report: Report) -> None:
    rows = int(float(os.environ.get("BENCH_LEDGER_ROWS", QUICK_ROWS if report.quick else ROWS)))
    at = "2026-07-31T12:00:00+00:00"
    with private_database() as environment:
        report.step(f"{SHARED_BATCHES * BATCH:,} events in PostgreSQL, to be compared")
        expected = measure(environment | {"EVENT_STORE": "postgresql"}, __name__, "booked", at=at)
    with (
        private_database() as environment,
        tempfile.TemporaryDirectory(prefix="aurelius-ledger-", dir=os.environ.get("BENCH_FOLDER")) as folder,
    ):
        environment |= {
            "EVENT_STORE": "clickhouse",
            "CLICKHOUSE_URL": f"chdb://{folder}/ledger",
            "CLICKHOUSE_TIMEOUT_SECONDS": "600",
        }
        report.step(f"{rows:,} rows in ClickHouse")
        found = measure(environment, __name__, "month", rows=rows, at=at, folder=folder)
    for row in found["rows"]:
        report.row(row.pop("what"), **row)
    report.value("bytes_per_event", found["bytes_per_event"] + found["bytes_per_identity"])
    report.value("engines_agree", float(found["shared"] == expected))
    report.value("totals_are_true", float(found["true"]))
    for note in found["notes"]:
        report.note(note)


# ---------------------------------------------------------------------------------------- inside Django, one process each


def booked(at: str) -> dict[str, Any]:
    """The shared events, booked by the product; what it then says of them."""
    from bench.metering_ingestion import tenant
    from metering.event_store import store
    from metering.ledger import ingestion

    customer, now = tenant(), datetime.fromisoformat(at)
    for number in range(SHARED_BATCHES):
        answers = ingestion.book(customer, events(number, now), now)
        assert {each.status for each in answers} == {"accepted"}
    store().settle()
    return totals(customer, now)


def month(rows: int, at: str, folder: str) -> dict[str, Any]:
    """Load, ask, merge, ask again."""
    from metering.event_store import schema, store

    kept: Any = store()
    client = kept.client
    schema.make(client)
    client.command(f"SET max_memory_usage = {MEMORY}, max_threads = {THREADS}, max_insert_threads = 1")
    client.command("SYSTEM STOP MERGES")
    parts = max(1, -(-rows // ROWS_A_PART))
    began, cpu = time.monotonic(), time.process_time()
    for part in range(parts):
        client.command(_load(part, parts))
        if part < max(1, round(parts * IDENTITIES)):
            between = time.monotonic(), time.process_time()
            client.command(_identities(part))
            began, cpu = began + time.monotonic() - between[0], cpu + time.process_time() - between[1]
        if part % 10 == 9 or part == parts - 1:
            _say(f"{part + 1} of {parts} parts, {_used(folder) / 1e9:.1f} GB")
    loaded = time.process_time() - cpu
    notes = [
        f"{parts * ROWS_A_PART:,} rows of {TENANTS:,} tenants made in the engine in {time.monotonic() - began:,.0f} s ({loaded:,.0f} s of CPU)"
    ]
    events_size, events_rows, events_parts = _size(client, "usage_event")
    known_size, known_rows, _ = _size(client, "event_identity")
    notes.append(
        f"{events_size / 1e9:.2f} GB in {events_parts} parts: {events_size / events_rows:.1f} bytes a row; {known_rows:,} identities in "
        f"{known_size / 1e9:.2f} GB: {known_size / known_rows:.1f} bytes each"
    )
    asked = Asked(kept, parts)
    found = asked.everything("before any merge")
    _say("a part is stored once more, as by a mover that was killed")
    client.command(_load(0, parts))
    found += asked.totals_again("with 8 million repeated rows")
    began, cpu = time.monotonic(), time.process_time()
    shared = booked(at)
    spent = time.process_time() - cpu
    notes.append(
        f"{SHARED_BATCHES * BATCH:,} events booked and moved beside that month in {time.monotonic() - began:.1f} s, "
        f"{spent / SHARED_BATCHES / BATCH * 1e6:.0f} µs of CPU an event in this process"
    )
    if parts * ROWS_A_PART <= MERGED_UP_TO:
        client.command("SYSTEM START MERGES")
        cpu = time.process_time()
        client.command("OPTIMIZE TABLE usage_event FINAL")
        spent, (size, merged, left) = time.process_time() - cpu, _size(client, "usage_event")
        notes.append(
            f"merged into {left} part(s) with {spent / merged * 1e6:.2f} µs of CPU a row, {size / merged:.1f} bytes each"
        )
        found += asked.everything("merged")
    return {
        "rows": found,
        "bytes_per_event": events_size / events_rows,
        "bytes_per_identity": known_size / known_rows,
        "shared": shared,
        "true": asked.true,
        "notes": notes,
    }


class Asked:
    """The product's questions, each answered right, with what it took."""

    def __init__(self, kept: Any, parts: int) -> None:
        self._kept, self._parts = kept, parts
        self._ids = {"a tenant": FIRST_TENANT + 500, "the largest": FIRST_TENANT}
        self._sums = {name: _expected(kept.client, tenant - FIRST_TENANT, parts) for name, tenant in self._ids.items()}
        self.true = True

    def everything(self, when: str) -> list[dict[str, Any]]:
        from metering.event_store.entries import TouchedHour

        day = [
            TouchedHour("gpu_hours", MONTH[0] + timedelta(hours=240 + at), MONTH[0] + timedelta(hours=241 + at))
            for at in range(24)
        ]
        hours = [
            TouchedHour("gpu_hours", MONTH[0] + timedelta(hours=at), MONTH[0] + timedelta(hours=at + 1))
            for at in range(744)
        ]
        found = self.totals_again(when)
        for name, tenant in self._ids.items():
            found.append(
                self._ask(f"{name}: a day's hours", when, lambda tenant=tenant: self._kept.amounts(tenant, day))
            )
            summed = self._ask(f"{name}: all 744 hours", when, lambda tenant=tenant: self._hours(tenant, hours))
            self.true = self.true and summed.pop("answer") == self._sums[name][0]
            found.append(summed)
        found.append(
            self._ask(
                "a tenant: a page of 1,000 readings",
                when,
                lambda: self._kept.scan(self._ids["a tenant"], *MONTH, limit=1_000),
            )
        )
        known = [_identity(500, number) for number in range(1_000)]
        looked = self._ask(
            "1,000 ids that are known", when, lambda: len(self._kept.fingerprints(FIRST_TENANT + 500, known))
        )
        self.true = self.true and looked.pop("answer") == 1_000
        found.append(looked)
        unknown = [("/gpu/node-1", f"nobody-{number}") for number in range(1_000)]
        found.append(
            self._ask("1,000 ids that are new", when, lambda: self._kept.fingerprints(FIRST_TENANT + 500, unknown))
        )
        for each in found:
            each.pop("answer", None)
        return found

    def totals_again(self, when: str) -> list[dict[str, Any]]:
        found = []
        for name, tenant in self._ids.items():
            micro, count = self._sums[name]
            total = self._ask(
                f"{name}: month's total ({count:,} events)",
                when,
                lambda tenant=tenant: self._kept.micro(tenant, "gpu_hours", [MONTH]),
            )
            self.true = self.true and total.pop("answer") == micro
            found.append(total)
            counted = self._ask(f"{name}: count", when, lambda tenant=tenant: self._kept.count(tenant, *MONTH))
            self.true = self.true and counted.pop("answer") == count
            found.append(counted)
        return found

    def _hours(self, tenant: int, hours: list[Any]) -> int:
        return sum(int(micro) for micro in self._kept.amounts(tenant, hours).params["event_micros"])

    def _ask(self, what: str, when: str, work: Callable[[], Any]) -> dict[str, Any]:
        spent: list[tuple[float, float]] = []
        answer, peak = None, 0
        while len(spent) < 3 and not (spent and spent[0][0] > LONG_SECONDS):
            with _Peak() as memory:
                began, cpu = time.monotonic(), time.process_time()
                answer = work()
                spent.append((time.process_time() - cpu, time.monotonic() - began))
            peak = max(peak, memory.grown)
        cpu_s, wall_s = (statistics.median(each) for each in zip(*spent, strict=True))
        _say(f"{what}, {when}: {cpu_s:.3f} s of CPU, {wall_s:.3f} s, +{peak / 2**20:,.0f} MiB")
        return {
            "what": what,
            "when": when,
            "cpu_ms": cpu_s * 1e3,
            "wall_ms": wall_s * 1e3,
            "MiB": peak / 2**20,
            "answer": answer,
        }


class _Peak:
    """By how much the process grew at most."""

    def __enter__(self) -> _Peak:
        self._stop, self._before, self._most = threading.Event(), _resident(), 0
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            self._most = max(self._most, _resident())

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.grown = max(0, self._most - self._before)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# ruff: noqa: S608  (numbers and our own names)
def _row(tenant: str, place: str, part: str) -> dict[str, str]:
    """The columns of the row at `place` among the tenant's rows of a part, from three whole numbers."""
    seed = f"sipHash64(toUInt64({part}), toUInt64({tenant}), toUInt64({place}))"
    return {"seed": seed, "quantity": f"(bitShiftRight({seed}, 8) % 60 + 1) * 1000000"}


def _load(part: int, parts: int) -> str:
    """A part's slice of the month: rows in the order of the table's key, as a part has them."""
    large = ROWS_A_PART - (TENANTS - 1) * SMALL
    slice_us = int((MONTH[1] - MONTH[0]) / timedelta(microseconds=1)) // parts
    first = f"toDateTime64('{MONTH[0]:%Y-%m-%d %H:%M:%S}', 6, 'UTC') + toIntervalMicrosecond({part * slice_us} + "
    # At most a step of jitter: two rows never change places.
    offset = f"intDiv(place * {slice_us}, mine) + seed % intDiv({slice_us}, mine)"
    row = _row("tenant", "place", str(part))
    return f"""
        INSERT INTO usage_event
        SELECT {FIRST_TENANT} + tenant, 'gpu_hours', {first}{offset}), concat('/gpu/node-', toString(seed % 20)),
               concat('{part}-', toString(place), '-', lower(hex(toUInt32(bitShiftRight(seed, 16))))), {row["quantity"]},
               concat('{{"model":"H100","project":"p', toString(seed % 7), '","user":"u', toString(seed % 50), '"}}'), '', '',
               {first}{offset} + 1500000), {part * ROWS_A_PART} + number
        FROM (
            SELECT number, number < {large} ? 0 : 1 + intDiv(number - {large}, {SMALL}) AS tenant,
                   number < {large} ? number : (number - {large}) % {SMALL} AS place, tenant = 0 ? {large} : {SMALL} AS mine,
                   {row["seed"]} AS seed
            FROM numbers({ROWS_A_PART})
        )
        SETTINGS max_insert_block_size = {ROWS_A_PART}, min_insert_block_size_rows = {ROWS_A_PART}, min_insert_block_size_bytes = 0,
                 optimize_on_insert = 0
    """


def _identities(part: int) -> str:
    digest = "substring(SHA256(concat(source, '\\n', event_id)), 1, 16)"
    return f"""
        INSERT INTO event_identity
        SELECT tenant_id, toUUID(concat(substring(lower(hex({digest})), 1, 8), '-', substring(lower(hex({digest})), 9, 4), '-',
                   substring(lower(hex({digest})), 13, 4), '-', substring(lower(hex({digest})), 17, 4), '-', substring(lower(hex({digest})), 21, 12))),
               generateUUIDv4(), meter, time
        FROM usage_event WHERE seq >= {part * ROWS_A_PART} AND seq < {(part + 1) * ROWS_A_PART}
        SETTINGS max_insert_block_size = 2000000, min_insert_block_size_rows = 2000000, min_insert_block_size_bytes = 0, optimize_on_insert = 0
    """


def _identity(tenant: int, place: int) -> tuple[str, str]:
    """The (source, id) of a row of the first part."""
    from metering.event_store import store

    kept: Any = store()
    sql = (
        f"SELECT concat('/gpu/node-', toString(seed % 20)), concat('0-', toString({place}), '-', lower(hex(toUInt32(bitShiftRight(seed, 16))))) "
        f"FROM (SELECT {_row(str(tenant), str(place), '0')['seed']} AS seed)"
    )
    source, event_id = kept.client.rows(sql)[0]
    return source, event_id


def _expected(client: Any, tenant: int, parts: int) -> tuple[int, int]:
    """(micro, events) of a tenant's month, from the numbers that its rows are made of and not from the table."""
    mine = SMALL if tenant else ROWS_A_PART - (TENANTS - 1) * SMALL
    quantity = _row("tenant", "place", "part")["quantity"]
    sql = f"""
        SELECT toString(sum({quantity})), count() FROM (
            SELECT intDiv(number, {mine}) AS part, number % {mine} AS place, {tenant} AS tenant
            FROM numbers({mine * parts})
        )
    """
    micro, count = client.rows(sql)[0]
    return int(micro), int(count)


def _size(client: Any, table: str) -> tuple[int, int, int]:
    """Bytes on disk, rows, parts."""
    sql = f"SELECT sum(bytes_on_disk), sum(rows), count() FROM system.parts WHERE active AND database = currentDatabase() AND table = '{table}'"
    size, rows, parts = client.rows(sql)[0]
    return int(size), int(rows), int(parts)


def _used(folder: str) -> int:
    return sum(each.stat().st_blocks * 512 for each in Path(folder).rglob("*") if each.is_file())


def _say(text: str) -> None:
    print(f"    {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
