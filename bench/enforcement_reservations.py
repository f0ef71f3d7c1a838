"""Reservations a second beside the plain decision call: the script alone, and whole reservations with their row in PostgreSQL."""

from __future__ import annotations

import statistics
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench import stage
from bench.database import measure, private_database
from bench.enforcement_script import key_without_nul, script_words
from bench.report import Report

NAME = "enforcement: reservations"
GOALS = {"script_per_decision": (">=", 0.08)}
RUNNING = 100
CLIENTS = 8


def run(report: Report) -> None:
    with stage.private_redis() as url:
        rounds = [(_decisions(url), _scripts(url)) for _ in range(report.rounds(5))]
        decisions, scripts = (statistics.median(each) for each in zip(*rounds, strict=True))
        report.row("decision, one connection", per_second=decisions)
        report.row(f"reserve script beside {RUNNING} holds, one connection", per_second=scripts)
        report.value("script_per_decision", scripts / decisions)
        with private_database() as environment:
            environment["ENFORCEMENT_REDIS_URL"] = url
            seconds = 3 if report.quick else 10
            for what, found in measure(environment, "bench.enforcement_reservations", "whole", seconds=seconds).items():
                report.row(what, per_second=found)
    report.note(
        "a whole reservation: estimate, caps, script, row, trail, all in one durable transaction; then its cancellation"
    )


def _decisions(url: str, calls: int = 3_000) -> float:
    connection = stage.connect(url)
    text = key_without_nul()
    stage.put_tenant(connection, "acme", 1_000, [text], stage.LARGE)
    words = script_words(text, connection)
    began = time.perf_counter()
    for _ in range(calls):
        connection.command(*words)
    return calls / (time.perf_counter() - began)


def _scripts(url: str, calls: int = 2_000) -> float:
    from tenants.enforcement.holds import PART, Caps, Hold, Holds

    holds = Holds(stage.connect(url), "bench", "2026-11")
    holds.build("bench", 0, [Hold(uuid.uuid4().hex, 36_000, PART, 25_000_000) for _ in range(RUNNING)])
    caps = Caps(quota=10**12, gpus=10**9, reservations=10**6, money=10**15)
    began = time.perf_counter()
    for _ in range(calls):
        id = uuid.uuid4().hex
        if holds.reserve(Hold(id, 3_600, PART, 2_500_000), caps).code:
            raise RuntimeError("a reservation was refused")
        holds.end(id, 0, 0)
    return calls / (time.perf_counter() - began)


def whole(seconds: int) -> dict[str, float]:
    """Whole reservations a second: by one client, and by several of one tenant at once."""
    from django.conf import settings

    from tenants.models import Tenant, Tier, TierQuota

    settings.RESERVATION_MAX_GPUS = 10**6
    TierQuota.objects.update(limit=None)
    tenant = Tenant.objects.create(slug="bench", name="Bench", tier=Tier.objects.get(slug="standard"))
    found = {"reserve and cancel, one client": _turns((tenant, time.perf_counter() + seconds)) / seconds}
    with ThreadPoolExecutor(CLIENTS) as team:
        end = time.perf_counter() + seconds
        found[f"reserve and cancel, {CLIENTS} clients of one tenant"] = (
            sum(team.map(_turns, [(tenant, end)] * CLIENTS)) / seconds
        )
    return found


def _turns(given: tuple[Any, float]) -> int:
    from decimal import Decimal

    from django.db import connection
    from django.utils import timezone

    from metering.reservations import ending, granting

    tenant, end = given
    turns = 0
    while time.perf_counter() < end:
        wish = granting.Wish(1, "H100", Decimal(1), 3_600, {"project": "bench"})
        made = granting.reserve(tenant, wish, id=uuid.uuid4(), actor="bench", now=timezone.now())
        ending.cancel(tenant, made.reservation.public_id, actor="bench", now=timezone.now())
        turns += 1
    connection.close()
    return turns
