"""Runs this node's collectors when they are due, and keeps what they learned: events, status, gaps, devices — all or nothing.

A collector runs once in each of its intervals, however many workers and beats there are. Its events, its memory of where it stopped
and its status are written in one transaction; should that fail, the next run starts from the old memory and bills the same time under
the same ids.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from metering import jobs
from metering.attribution import coverage, policy, table
from metering.collectors import config, running
from metering.collectors.base import Collected, CollectedEvent, Collector
from metering.ledger import ingestion
from metering.models import CollectorState, CollectorStatus
from metering.money import from_micro
from tenants.models import Tenant, TenantState

from . import gaps, gpus

SOURCE = f"{ingestion.OWN_SOURCES}collectors"
"""Events of collectors have a source below this, which nobody else may use: no key can take a collector's ids."""
LEASE_BEYOND_TIMEOUT = timedelta(minutes=2)

log = logging.getLogger(__name__)


def run_due(now: datetime, only: str | None = None) -> list[str]:
    """Run every collector of this node (or `only` that one) whose interval has begun and that has not run in it; who ran."""
    entries = [entry for entry in configured(settings.NODE_NAME) if only in (None, entry["name"])]
    return [entry["name"] for entry in entries if _run(entry, settings.NODE_NAME, now)]


def queues() -> list[tuple[str, str | None]]:
    """(collector, queue) of everything that is configured; None is the queue that every worker takes from."""
    entries = settings.COLLECTORS if isinstance(settings.COLLECTORS, list) else []
    good = [entry for entry in entries if isinstance(entry, dict) and not list(config.entry_problems(entry))]
    return [(entry["name"], queue_of(entry["node"]) if "node" in entry else None) for entry in good]


def queue_of(node: str) -> str:
    """The Celery queue that only the workers on that node take from."""
    return f"node.{node}"


def configured(node: str) -> list[Mapping[str, Any]]:
    """The entries of settings.COLLECTORS for that node. What the system checks refuse is left out."""
    entries = settings.COLLECTORS if isinstance(settings.COLLECTORS, list) else []
    return [
        entry
        for entry in entries
        if isinstance(entry, dict) and not list(config.entry_problems(entry)) and entry.get("node", node) == node
    ]


def source_of(name: str, node: str) -> str:
    """The CloudEvents source of a collector's events."""
    return f"{SOURCE}/{node}/{name}"


def _run(entry: Mapping[str, Any], node: str, now: datetime) -> bool:
    status = CollectorStatus.objects.filter(name=entry["name"], node=node).first()
    tenants = {tenant.slug: tenant for tenant in Tenant.objects.exclude(state=TenantState.CLOSED)}
    of_gpus = entry["kind"] in config.OF_GPUS
    since = coverage.since(node, now)
    collector = config.build(
        entry,
        node=node,
        tenants=tenants.keys(),
        assigned=policy.in_force(node, since, now) if of_gpus else (),
        reserved=coverage.in_force(node, since, now) if of_gpus else (),
        rules=table.in_force(node) if of_gpus else (),
        memory=status.memory if status else {},
    )
    slot = _slot(now, collector.interval_seconds)
    if status and _slot(status.last_run_at, collector.interval_seconds) == slot:
        return False
    lease = timedelta(seconds=collector.timeout_seconds) + LEASE_BEYOND_TIMEOUT
    try:
        with jobs.once(_task(collector.name, node), f"{slot:%Y-%m-%dT%H:%M:%SZ}", lease=lease, atomic=False) as run:
            if run is None:
                return False
            started = time.monotonic()
            collected = running.collect(collector, now, started + collector.timeout_seconds)
            run.detail = {"state": collected.state, "events": len(collected.events), "detail": collected.detail}
            with transaction.atomic():
                run.save_progress(lease)  # the run is still ours, and stays so until the commit
                _still_the_last(status, entry["name"], node)
                keep(collector, node, collected, tenants, now, duration=time.monotonic() - started)
    except Exception:  # one collector's failure must not keep the others from running; JobRun keeps the error
        log.exception("collector.failed", extra={"collector": collector.name, "node": node})
    return True


class OvertakenError(RuntimeError):
    """A later run of the same collector was faster. What this one read starts from an old memory: nothing of it is kept."""


def _still_the_last(status: CollectorStatus | None, name: str, node: str) -> None:
    runs = (
        CollectorStatus.objects.select_for_update().filter(name=name, node=node).values_list("runs", flat=True).first()
    )
    if runs != (status.runs if status else None):
        raise OvertakenError(f"{name} on {node} ran again before this run had ended")


def keep(
    collector: Collector,
    node: str,
    collected: Collected,
    tenants: Mapping[str, Tenant],
    now: datetime,
    *,
    duration: float,
    booked_at: datetime | None = None,
) -> None:
    """Write everything of a run, in the caller's transaction. `duration` in seconds; `now` is when the run began, `booked_at` the present
    where that is another time."""
    refused = _book(collector, node, collected.events, tenants, booked_at or now)
    detail = "; ".join(part for part in (collected.detail, refused) if part)[:300]
    status, _ = CollectorStatus.objects.select_for_update().get_or_create(
        name=collector.name, node=node, defaults={"kind": collector.kind, "state": collected.state, "last_run_at": now}
    )
    gaps.keep(collector, node, collected, tenants, now, last_ok_at=status.last_ok_at)
    if collector.kind in config.OF_GPUS:
        gpus.keep(collector.name, node, collected, tenants, now)
        coverage.keep(node, collected.sightings, now)
    status.kind, status.state, status.detail = collector.kind, collected.state, detail
    status.readings = dict(collected.readings)
    if collected.state != CollectorState.ERROR:
        status.memory = dict(collected.memory)
    status.interval_seconds, status.duration_ms = collector.interval_seconds, round(duration * 1000)
    status.last_run_at, status.runs = now, status.runs + 1
    status.events += len(collected.events)
    if collected.state == CollectorState.OK:
        status.last_ok_at = now
    else:
        status.failures += 1
    status.save()


def _book(
    collector: Collector, node: str, events: Iterable[CollectedEvent], tenants: Mapping[str, Tenant], now: datetime
) -> str:
    """Book the events; what the ledger did not take, in words. An event that it knows already is no news."""
    by_tenant: dict[str, list[CollectedEvent]] = defaultdict(list)
    for event in events:
        by_tenant[event.tenant].append(event)
    refused: Counter[str] = Counter()
    source = source_of(collector.name, node)
    for slug in sorted(by_tenant.keys() - tenants.keys()):
        refused[f"{slug}: there is no such tenant"] += len(by_tenant.pop(slug))
    for slug in sorted(by_tenant):  # always in the same order: two runs cannot deadlock
        for result in ingestion.book(
            tenants[slug], [cloud_event(event, source) for event in by_tenant[slug]], now, own=True
        ):
            if result.status not in {"accepted", "duplicate"}:
                refused[f"{slug}: {result.detail or result.code}"] += 1
                log.warning(
                    "collector.event_refused", extra={"collector": collector.name, "tenant": slug, "code": result.code}
                )
    return "; ".join(f"{count} × {reason}" for reason, count in refused.items())


def cloud_event(event: CollectedEvent, source: str) -> dict[str, Any]:
    """The event as the ledger takes it."""
    return {
        "specversion": "1.0",
        "source": source,
        "id": event.id,
        "type": event.type,
        "time": event.time,
        "data": {"quantity": from_micro(event.quantity_micro), **event.dims},
    }


def _slot(instant: datetime, interval_seconds: int) -> datetime:
    epoch = int(instant.timestamp())
    return datetime.fromtimestamp(epoch - epoch % interval_seconds, UTC)


def _task(name: str, node: str) -> str:
    """A JobRun's task holds 80 characters; a node's name may be longer."""
    text = f"{jobs.COLLECTOR_RUN}{name} on {node}"
    return (
        text if len(text) <= 80 else f"{jobs.COLLECTOR_RUN}{name} on {hashlib.sha256(node.encode()).hexdigest()[:16]}"
    )
