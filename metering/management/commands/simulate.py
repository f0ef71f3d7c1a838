"""`manage.py simulate --tenants 200 --months 13`: a platform's past, with totals that are known."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from metering import housekeeping
from metering.ledger import rollups
from metering.models import DirtyHour
from metering.simulation import checking, days, loading, plans
from metering.simulation.truth import Truth

SHOWN = 20
PAUSE = 0.2
MONTH = timedelta(days=30.44)


class Command(BaseCommand):
    """Resumable: tenants that exist already are passed over (their truth is computed again), so more tenants can be added later."""

    help = "Make up tenants with months of usage (seasons, growth, incidents, GPUs), roll them up, and check them against the truth."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenants", type=int, default=50, help="how many (50)")
        parser.add_argument("--months", type=int, default=13, help="how far back (13)")
        parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same platform (1)")
        parser.add_argument(
            "--until", help="UTC instant at which the past ends, as 2026-07-01T00:00Z (the current hour)"
        )
        parser.add_argument("--truth", type=Path, help="write the true totals by tenant and month there, as JSON")
        parser.add_argument("--no-check", action="store_true", help="do not compare rollups and bills with the truth")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PORTAL_ENV == "production":
            raise CommandError("Made-up tenants have no place in production. Use a database of its own.")
        if options["tenants"] < 1 or not 1 <= options["months"] <= 120:
            raise CommandError("Give at least 1 tenant and 1 to 120 months.")
        until = checking.open_until(_instant(options["until"]) if options["until"] else timezone.now())
        first = (until - MONTH * options["months"]).date()
        began = time.monotonic()
        truths, rows = self._load(options["seed"], options["tenants"], first, until)
        self._say(f"{rows:,} ledger rows of {options['tenants']:,} tenants", began, rows)
        began = time.monotonic()
        hours = self._roll_up(truths, until)
        self._say(f"{hours:,} hours rolled up", began, hours)
        if options["truth"]:
            options["truth"].write_text(json.dumps(_as_json(truths), indent=1))
            self.stdout.write(f"The truth is in {options['truth']}.")
        if not options["no_check"]:
            self._check(truths, until)

    def _load(self, seed: int, tenants: int, first: date, until: datetime) -> tuple[dict[str, Truth], int]:
        housekeeping.make_partitions(datetime.combine(first, datetime.min.time(), UTC) - timedelta(days=1), until)
        truths: dict[str, Truth] = {}
        rows = 0
        past = days.every_day(first, until.date() + timedelta(days=1))
        for number in range(tenants):
            plan = plans.make(seed, number, first, until.date())
            try:
                truths[plan.slug], written = loading.load(plan, past, until)
                rows += written
            except loading.AlreadySimulatedError:
                truths[plan.slug] = loading.truth_of(plan, past, until)
            if number % 20 == 19 or number == tenants - 1:
                self.stdout.write(f"{number + 1:,}/{tenants:,} tenants, {rows:,} rows")
        return truths, rows

    def _roll_up(self, slugs: Iterable[str], until: datetime) -> int:
        """Roll up until nothing of these tenants is left; another worker may have some of them in hand."""
        hours = rollups.run(until)
        ours = DirtyHour.objects.filter(tenant__slug__in=list(slugs), hour__lt=until)
        while ours.exists():
            done = rollups.run(until)
            hours += done
            if not done:
                time.sleep(PAUSE)
        return hours

    def _check(self, truths: dict[str, Truth], until: datetime) -> None:
        began, found = time.monotonic(), list(checking.differences(truths, until))
        months = sum(len(truth.months) for truth in truths.values())
        for difference in found[:SHOWN]:
            self.stderr.write(str(difference))
        if found:
            raise CommandError(f"{len(found):,} differences in {months:,} tenant months. The first are above.")
        self._say(f"{months:,} tenant months are what they should be, to the micro-unit and the cent", began, months)

    def _say(self, text: str, began: float, number: int) -> None:
        seconds = time.monotonic() - began
        self.stdout.write(f"{text} ({seconds:.1f} s, {number / max(seconds, 0.001):,.0f} a second)")


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandError(f"--until: {error}") from error
    if instant.tzinfo is None:
        raise CommandError("--until needs an offset, such as Z.")
    return instant


def _as_json(truths: dict[str, Truth]) -> dict[str, Any]:
    return {
        slug: {
            month: {**found.quantities(), "gpu_seconds_by_model": {m: v / 1000 for m, v in found.gpu_milliseconds.items()},
                    "whole_month_usd": str(truth.bill(month, truth.month_seconds(month)))}
            for month, found in sorted(truth.months.items())
        }
        for slug, truth in truths.items()
    }  # fmt: skip
