"""The ledger in PostgreSQL and in ClickHouse: booking, moving on, summing up hours, and what an event takes on disk.

ClickHouse runs in this process (chdb); CPU seconds are of the process and of the PostgreSQL process that serves it, so moving and reading
in ClickHouse count with all their threads.
"""

from __future__ import annotations

import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.database import measure, private_database
from bench.report import Report

NAME = "metering: the ledger's engines"
GOALS = {
    "clickhouse_bytes_per_event": ("<=", 120.0),
    "clickhouse_booking_to_postgresql": ("<=", 3.0),
    "engines_agree": ("==", 1.0),
}
EVENTS, QUICK_EVENTS, BATCH = 400_000, 60_000, 1_000


def run(report: Report) -> None:
    count = QUICK_EVENTS if report.quick else EVENTS
    at = datetime.now(UTC).replace(minute=0, second=0, microsecond=0).isoformat()
    found: dict[str, dict[str, Any]] = {}
    said: dict[str, Any] = {}
    for engine in ("postgresql", "clickhouse"):
        with private_database() as environment, tempfile.TemporaryDirectory(prefix="aurelius-bench-") as folder:
            report.step(f"{count:,} events in {engine}")
            environment |= {"EVENT_STORE": engine, "CLICKHOUSE_URL": f"chdb://{folder}/ledger"}
            found[engine] = measure(environment, __name__, "everything", count=count, at=at)
        said[engine] = found[engine].pop("totals")
        report.row(engine, **found[engine])
    report.value("engines_agree", float(said["postgresql"] == said["clickhouse"]))
    report.value("clickhouse_bytes_per_event", found["clickhouse"]["bytes_per_event"])
    report.value("clickhouse_booking_to_postgresql", found["clickhouse"]["book_us"] / found["postgresql"]["book_us"])
    report.note(
        f"batches of {BATCH:,} events, as the API takes them; every batch looks into ClickHouse for identities that it may know"
    )


# ---------------------------------------------------------------------------------------- inside Django, one process each


def everything(count: int, at: str) -> dict[str, Any]:
    """CPU microseconds an event of each step; milliseconds of CPU to sum up a day's hours and to look for a thousand identities."""
    from bench.metering_ingestion import tenant
    from metering.event_store import schema, store
    from metering.event_store.clickhouse import ClickHouseStore
    from metering.event_store.entries import TouchedHour
    from metering.ledger import ingestion

    kept, customer, now = store(), tenant(), datetime.fromisoformat(at)
    if isinstance(kept, ClickHouseStore):
        schema.make(kept.client)
    booking, moving = [], []
    for number in range(count // BATCH):
        batch = events(number, now)
        booking.append(_cpu(lambda batch=batch: ingestion.book(customer, batch, now)))
        if number % 50 == 49:
            moving.append(_cpu(kept.settle))
    kept.settle()
    hours = [
        TouchedHour("gpu_hours", now - timedelta(hours=back + 1), now - timedelta(hours=back)) for back in range(24)
    ]
    summed = statistics.median(_cpu(lambda: _sum_up(kept, customer.pk, hours)) for _ in range(5))
    asked = [("/gpu/node-1", f"nobody-{number}") for number in range(BATCH)]
    lookup = statistics.median(_cpu(lambda: kept.fingerprints(customer.pk, asked)) for _ in range(5))
    known = events(0, now)
    return {
        "book_us": sum(booking[1:]) / (len(booking) - 1) / BATCH * 1e6,
        "move_us": sum(moving) / max(1, len(moving)) / (50 * BATCH) * 1e6,
        "sum_24_hours_ms": summed * 1e3,
        "look_for_1000_ms": lookup * 1e3,
        "send_again_us": _cpu(lambda: ingestion.book(customer, known, now)) / BATCH * 1e6,
        "bytes_per_event": _bytes(kept) / count,
        "totals": totals(customer, now),
    }


def events(number: int, now: datetime) -> list[dict[str, Any]]:
    return [
        {
            "specversion": "1.0", "id": f"{number}-{position}-{(number * BATCH + position) * 2654435761 % 2**32:08x}", "source": f"/gpu/node-{position % 20}",
            "type": "gpu_seconds", "time": (now - timedelta(seconds=(number * BATCH + position) * 7 % 2_592_000)).isoformat(),
            "data": {"quantity": position % 60 + 1, "model": "H100", "project": f"p{position % 7}", "user": f"u{position % 50}"},
        }
        for position in range(BATCH)
    ]  # fmt: skip


def totals(customer: Any, now: datetime) -> dict[str, Any]:
    """What the engine says of 30 days: the sum in micro base units, how many events, and a digest of every hour's sums by dimensions."""
    from metering.event_store import store
    from metering.event_store.entries import TouchedHour

    kept, start = store(), now - timedelta(days=30)
    hours = [
        TouchedHour("gpu_hours", start + timedelta(hours=at), start + timedelta(hours=at + 1))
        for at in range(24 * 30 + 1)
    ]
    rows = sorted(
        repr((meter, hour.isoformat(), dims, int(micro), int(count)))
        for meter, hour, dims, micro, count in _sum_up(kept, customer.pk, hours)
    )
    end = hours[-1].end
    return {
        "micro": kept.micro(customer.pk, "gpu_hours", [(start, end)]),
        "events": kept.count(customer.pk, start, end),
        "hours": hashlib.sha256("\n".join(rows).encode()).hexdigest(),
        "rows": len(rows),
    }


# ruff: noqa: S608  (a part of our own statement)
def _sum_up(kept: Any, tenant_id: int, hours: list[Any]) -> list[tuple[Any, ...]]:
    """What the rollups' statement does with what the engine gives it."""
    from django.db import connection

    found = kept.amounts(tenant_id, hours)
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH touched AS (SELECT * FROM unnest(%(meters)s::text[], %(hours)s::timestamptz[], %(ends)s::timestamptz[]) AS t (meter, hour, until)) "
            "SELECT meter, hour AT TIME ZONE 'UTC', dims::text, sum(micro), sum(events) "
            f"FROM ({found.sql}) booked GROUP BY meter, hour, dims",
            {
                **found.params,
                "meters": [each.meter for each in hours],
                "hours": [each.start for each in hours],
                "ends": [each.end for each in hours],
            },
        )
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _bytes(kept: Any) -> int:
    from django.db import connection

    if kept.name == "clickhouse":
        return int(
            kept.client.rows(
                "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase()"
            )[0][0]
        )
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_total_relation_size('metering_eventidentity')")
        return sum(month.bytes for month in kept.months()) + int(cursor.fetchone()[0])


def _cpu(work: Callable[[], Any]) -> float:
    """CPU seconds of the work, in this process and in PostgreSQL's that serves it."""
    import psutil
    from django.db import connection

    connection.ensure_connection()
    server = psutil.Process(connection.connection.info.backend_pid)
    before = (time.process_time(), server.cpu_times())
    work()
    after = server.cpu_times()
    return time.process_time() - before[0] + after.user + after.system - before[1].user - before[1].system
