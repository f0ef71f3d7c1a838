"""`manage.py simulate --tenants 200 --months 13`: a platform's past, with totals that are known."""

from __future__ import annotations

import json
import time
from concurrent.futures.process import BrokenProcessPool
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from metering.simulation import checking, running
from metering.simulation.span import OtherSpanError, Span, of_seed
from metering.simulation.truth import Truth

SHOWN = 20
MOST_WORKERS = 16
MOST_TENANTS = 100_000
MONTHS, MOST_MONTHS = 13, 120
MONTH = timedelta(days=30.44)
EARLIEST = 2000
"""The year of the first instant that is taken."""


class Command(BaseCommand):
    """Resumable: tenants that exist already are passed over (their truth is computed again), so more tenants can be added later.

    A seed has one span of time, that of its first run, which later runs take up by themselves.
    """

    help = "Make up tenants with months of usage (seasons, growth, incidents, GPUs), roll them up, and check them against the truth."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenants", type=int, default=50, help="how many (50)")
        parser.add_argument("--months", type=int, help=f"how far back ({MONTHS}, or as the seed was simulated before)")
        parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same platform (1)")
        parser.add_argument(
            "--until",
            help="UTC instant at which the past ends, as 2026-07-01T00:00Z (the current hour, or as the seed was simulated before)",
        )
        parser.add_argument("--workers", type=int, default=1, help="processes that work on it, this one among them (1)")
        parser.add_argument("--truth", type=Path, help="write the true totals by tenant and month there, as JSON")
        parser.add_argument("--no-check", action="store_true", help="do not compare rollups and bills with the truth")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PORTAL_ENV == "production":
            raise CommandError("Made-up tenants have no place in production. Use a database of its own.")
        if not 1 <= options["tenants"] <= MOST_TENANTS:
            raise CommandError(f"--tenants: give 1 to {MOST_TENANTS:,}.")
        if not 1 <= options["workers"] <= MOST_WORKERS:
            raise CommandError(f"--workers: give 1 to {MOST_WORKERS}.")
        if options["seed"] < 0:
            raise CommandError("--seed: give 0 or more.")
        if options["truth"]:
            _check_writable(options["truth"])
        try:
            span = _span(options["seed"], options["months"], options["until"])
            platform = running.Platform(options["seed"], options["tenants"], span.first, span.until)
            truths, differences = self._run(platform, options["workers"], check=not options["no_check"])
        except OtherSpanError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Interrupted. What is done stays; the same command goes on.", returncode=130) from None
        except BrokenProcessPool:
            raise CommandError(
                "A worker was killed (no memory?). What is done stays; the same command goes on."
            ) from None
        if options["truth"]:
            options["truth"].write_text(json.dumps(_as_json(truths), indent=1))
            self.stdout.write(f"The truth is in {options['truth']}.")
        if not options["no_check"]:
            self._judge(truths, differences)

    def _run(
        self, platform: running.Platform, workers: int, *, check: bool
    ) -> tuple[dict[str, Truth], list[checking.Difference]]:
        truths: dict[str, Truth] = {}
        differences: list[checking.Difference] = []
        rows = hours = 0
        began = time.monotonic()
        for done in running.run(platform, check=check, workers=workers):
            truths |= done.truths
            differences += done.differences
            rows, hours = rows + done.rows, hours + done.hours
            rate = len(truths) / max(time.monotonic() - began, 0.001)
            left = (platform.tenants - len(truths)) / rate
            self.stdout.write(
                f"{len(truths):,}/{platform.tenants:,} tenants: {rows:,} ledger rows, {hours:,} hours rolled up; "
                f"{rate:.1f} tenants a second, {left / 60:.0f} min left"
            )
            self.stdout.flush()
        return truths, differences

    def _judge(self, truths: dict[str, Truth], differences: list[checking.Difference]) -> None:
        months = sum(len(truth.months) for truth in truths.values())
        for difference in differences[:SHOWN]:
            self.stderr.write(str(difference))
        if differences:
            raise CommandError(f"{len(differences):,} differences in {months:,} tenant months. The first are above.")
        self.stdout.write(f"{months:,} tenant months are what they should be, to the micro-unit and the cent.")


def _span(seed: int, months: int | None, until: str | None) -> Span:
    """That of the seed's first run; for a new seed, what is asked for. Raises CommandError for one that cannot be or is not the seed's."""
    if months is not None and not 1 <= months <= MOST_MONTHS:
        raise CommandError(f"--months: give 1 to {MOST_MONTHS}.")
    known = of_seed(seed)
    if until is not None:
        end = checking.open_until(_instant(until))
    else:
        end = known.until if known else checking.open_until(timezone.now())
    first = known.first if known and months is None else (end - MONTH * (months or MONTHS)).date()
    asked = Span(first, end)
    if known and asked != known:
        raise CommandError(
            f"Seed {seed} was simulated from {known}, which is not what is asked for ({asked}). "
            "Leave --months and --until out to go on with it, or choose another --seed."
        )
    return asked


def _instant(text: str) -> datetime:
    """A past instant. Raises CommandError for what is none."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandError(f"--until: {error}") from error
    if instant.tzinfo is None:
        raise CommandError("--until needs an offset, such as Z.")
    if instant.year < EARLIEST or instant > timezone.now():
        raise CommandError(f"--until: give an instant since {EARLIEST} that is not ahead.")
    return instant


def _check_writable(path: Path) -> None:
    """Said before the work, not after it. Raises CommandError."""
    try:
        path.open("a").close()
    except OSError as error:
        raise CommandError(
            f"--truth: {path} cannot be written ({error.strerror}). Name a file in a folder that is there."
        ) from error


def _as_json(truths: dict[str, Truth]) -> dict[str, Any]:
    return {
        slug: {
            month: {**found.quantities(), "gpu_seconds_by_model": {m: v / 1000 for m, v in found.gpu_milliseconds.items()},
                    "whole_month_usd": str(truth.bill(month, truth.month_seconds(month)))}
            for month, found in sorted(truth.months.items())
        }
        for slug, truth in truths.items()
    }  # fmt: skip
