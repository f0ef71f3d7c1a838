"""`manage.py simulate --tenants 200 --months 13`: a platform's past, with totals that are known."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from metering.simulation import checking, running
from metering.simulation.truth import Truth

SHOWN = 20
MOST_WORKERS = 16
MOST_TENANTS = 100_000
MOST_MONTHS = 120
MOST_SEED = 10**9
EARLIEST = datetime(2011, 1, 1, tzinfo=UTC)
MONTHS = 13
INTERRUPTED = 130
MONTH = timedelta(days=30.44)


class Command(BaseCommand):
    """Resumable: tenants that exist already are passed over (their truth is computed again), so more tenants can be added later.

    A seed keeps the span of time that it was begun with.
    """

    help = "Make up tenants with months of usage (seasons, growth, incidents, GPUs), roll them up, and check them against the truth."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenants", type=int, default=50, help="how many (50)")
        parser.add_argument("--months", type=int, help=f"how far back ({MONTHS}, or what this seed was begun with)")
        parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same platform (1)")
        parser.add_argument(
            "--until",
            help="instant at which the past ends, as 2026-07-01T00:00Z (the current hour, or what this seed was begun with)",
        )
        parser.add_argument("--workers", type=int, default=1, help="processes that work on it, this one among them (1)")
        parser.add_argument("--truth", type=Path, help="write the true totals by tenant and month there, as JSON")
        parser.add_argument("--no-check", action="store_true", help="do not compare rollups and bills with the truth")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PORTAL_ENV == "production":
            raise CommandError("Made-up tenants have no place in production. Use a database of its own.")
        platform = _platform(options)
        if options["truth"]:
            _writable(options["truth"])
        truths: dict[str, Truth] = {}
        try:
            differences = self._run(platform, options["workers"], truths, check=not options["no_check"])
        except running.OtherPlatformError as error:
            raise CommandError(
                f"{error}. Leave out --months and --until to go on with it, or give another --seed."
            ) from error
        except KeyboardInterrupt:
            raise CommandError(
                f"Interrupted; at least {len(truths):,} of {platform.tenants:,} tenants are there. The same command goes on.",
                returncode=INTERRUPTED,
            ) from None
        if options["truth"]:
            options["truth"].write_text(json.dumps(_as_json(truths), indent=1))
            self.stdout.write(f"The truth is in {options['truth']}.")
        if not options["no_check"]:
            self._judge(truths, differences)

    def _run(
        self, platform: running.Platform, workers: int, truths: dict[str, Truth], *, check: bool
    ) -> list[checking.Difference]:
        """Fills `truths`, by slug, as it goes."""
        differences: list[checking.Difference] = []
        rows = hours = 0
        began = time.monotonic()
        for done in running.run(platform, check=check, workers=workers):
            truths.update(done.truths)
            differences += done.differences
            rows, hours = rows + done.rows, hours + done.hours
            rate = len(truths) / max(time.monotonic() - began, 0.001)
            left = (platform.tenants - len(truths)) / rate
            self.stdout.write(
                f"{len(truths):,}/{platform.tenants:,} tenants: {rows:,} ledger rows, {hours:,} hours rolled up; "
                f"{rate:.1f} tenants a second, {left / 60:.0f} min left"
            )
            self.stdout.flush()
        return differences

    def _judge(self, truths: dict[str, Truth], differences: list[checking.Difference]) -> None:
        months = sum(len(truth.months) for truth in truths.values())
        for difference in differences[:SHOWN]:
            self.stderr.write(str(difference))
        if differences:
            raise CommandError(f"{len(differences):,} differences in {months:,} tenant months. The first are above.")
        self.stdout.write(f"{months:,} tenant months are what they should be, to the micro-unit and the cent.")


def _platform(options: dict[str, Any]) -> running.Platform:
    """What is asked for, with what the seed was begun with where nothing else is said. Raises CommandError."""
    if not 1 <= options["tenants"] <= MOST_TENANTS:
        raise CommandError(f"Give 1 to {MOST_TENANTS:,} tenants.")
    if options["months"] is not None and not 1 <= options["months"] <= MOST_MONTHS:
        raise CommandError(f"Give 1 to {MOST_MONTHS} months.")
    if not 1 <= options["workers"] <= MOST_WORKERS:
        raise CommandError(f"Give 1 to {MOST_WORKERS} workers.")
    if not 0 <= options["seed"] <= MOST_SEED:
        raise CommandError(f"Give a seed from 0 to {MOST_SEED:,}.")
    known = running.begun(options["seed"])
    if options["until"]:
        until = checking.open_until(_instant(options["until"]))
    else:
        until = known.until if known else checking.open_until(timezone.now())
    if known and until == known.until and options["months"] is None:
        return running.Platform(options["seed"], options["tenants"], known.first, until)
    first = (until - MONTH * (options["months"] or MONTHS)).date()
    return running.Platform(options["seed"], options["tenants"], first, until)


def _writable(path: Path) -> None:
    """Known before the work, and not after it. Raises CommandError."""
    try:
        path.open("a").close()
    except OSError as error:
        raise CommandError(f"--truth: {path} cannot be written: {error.strerror}.") from error


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandError(f"--until: {error}") from error
    if instant.tzinfo is None:
        raise CommandError("--until needs an offset, such as Z.")
    if not EARLIEST <= instant <= timezone.now():
        raise CommandError(f"--until lies between {EARLIEST:%Y} and now: a past is simulated.")
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
