"""Booking usage events: validation, identity, ledger and marks, beside a bare COPY of the same rows and beside the ORM."""

from __future__ import annotations

import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.database import answer, measure, private_database, start
from bench.report import Report

NAME = "metering: event ingestion"
GOALS = {"ingestion_rows_per_second": (">=", 40_000.0)}

BATCH = 10_000
API_BATCH = 1_000


def run(report: Report) -> None:
    with private_database() as environment:
        names = ("bare COPY, no keys, no checks", f"book, batches of {BATCH:,}", "book, two senders at once", f"book, batches of {API_BATCH:,} (the API's)",
                 "book, all known already", "ORM bulk_create, no checks")  # fmt: skip
        found: dict[str, list[float]] = {name: [] for name in names}
        for number in range(report.rounds(9)):
            report.step(f"round {number + 1}")
            seed = f"round-{number}"
            two = [
                start(environment, __name__, "book", seed=f"{seed}-{sender}", batches=5, size=BATCH) for sender in "ab"
            ]
            both = [answer(process) for process in two]
            samples = [
                measure(environment, __name__, "bare_copy", seed=seed, batches=5, size=BATCH),
                measure(environment, __name__, "book", seed=seed, batches=5, size=BATCH),
                sum(both),
                measure(environment, __name__, "book", seed=f"{seed}-api", batches=20, size=API_BATCH),
                measure(environment, __name__, "book", seed=seed, batches=5, size=BATCH),
                measure(environment, __name__, "bulk_create", seed=seed, batches=1, size=BATCH),
            ]
            for name, sample in zip(names, samples, strict=True):
                found[name].append(sample)
        medians = {name: statistics.median(values) for name, values in found.items()}
        for name, value in medians.items():
            report.row(name, rows_per_second=round(value), per_bare_copy=round(value / medians[names[0]], 3))
        report.value("ingestion_rows_per_second", max(medians[names[1]], medians[names[2]]))
        report.note(
            "PostgreSQL with fsync on. 'book' is the whole path: strict parsing, fingerprint, identity, ledger with its indexes, marks."
        )


# ---------------------------------------------------------------------------------------- inside Django, one process each


def events(seed: str, number: int, size: int) -> list[dict[str, Any]]:
    """Events of the last day, as a GPU collector would send them."""
    now = datetime.now(UTC)
    return [
        {
            "specversion": "1.0",
            "id": f"{seed}-{number}-{position}",
            "source": "/gpu/node-1",
            "type": "gpu_seconds",
            "time": (now - timedelta(seconds=position % 86_400)).isoformat(),
            "data": {
                "quantity": position % 60 + 1,
                "model": "H100",
                "project": f"p{position % 7}",
                "user": f"u{position % 5}",
            },
        }
        for position in range(size)
    ]


def tenant() -> Any:
    from tenants.models import Tenant, Tier

    return Tenant.objects.get_or_create(
        slug="bench", defaults={"name": "Bench", "tier": Tier.objects.get(is_default=True)}
    )[0]


def book(seed: str, batches: int, size: int) -> float:
    """Rows a second through ingestion.book; making the events does not count."""
    from metering.ledger import ingestion

    customer, seconds = tenant(), 0.0
    ingestion.book(customer, events(f"{seed}-warm", 0, 100), datetime.now(UTC))
    for number in range(batches):
        batch = events(seed, number, size)
        started = time.perf_counter()
        ingestion.book(customer, batch, datetime.now(UTC))
        seconds += time.perf_counter() - started
    return batches * size / seconds


def bare_copy(seed: str, batches: int, size: int) -> float:
    """Rows a second of COPY, from ready-made text into a table of the same columns without any index."""
    from django.db import connection, transaction

    texts = []
    for number in range(batches):
        rows = [
            f"1\t{each['time']}\tgpu_hours\t{each['source']}\t{each['id']}\t{each['data']['quantity']}000000\t"
            f'{{"model":"H100","project":"{each["data"]["project"]}","user":"{each["data"]["user"]}"}}\n'
            for each in events(seed, number, size)
        ]
        texts.append("".join(rows))
    with connection.cursor() as cursor:
        cursor.execute(
            'CREATE TABLE IF NOT EXISTS bench_copy (tenant_id bigint, "time" timestamptz, meter varchar, source varchar, '
            "event_id varchar, quantity_micro numeric, dims jsonb)"
        )
        started = time.perf_counter()
        for text in texts:
            with transaction.atomic(), cursor.copy("COPY bench_copy FROM STDIN") as copy:
                copy.write(text)
    return batches * size / (time.perf_counter() - started)


def bulk_create(seed: str, batches: int, size: int) -> float:
    """Rows a second of the ORM's bulk_create into the ledger alone: no identity, no checks."""
    from metering.models import UsageEvent

    customer, now = tenant(), datetime.now(UTC)
    first = time.time_ns()
    started = time.perf_counter()
    for number in range(batches):
        UsageEvent.objects.bulk_create(
            [
                UsageEvent(
                    tenant=customer, time=datetime.fromisoformat(each["time"]), id=first + number * size + position, meter="gpu_hours",
                    source=each["source"], event_id=each["id"], quantity_micro=each["data"]["quantity"] * 10**6, received_at=now,
                    dims={name: value for name, value in each["data"].items() if name != "quantity"},
                )
                for position, each in enumerate(events(f"{seed}-orm", number, size))
            ],
            batch_size=2_000,
        )  # fmt: skip
    return batches * size / (time.perf_counter() - started)
