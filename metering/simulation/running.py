"""A simulation in portions of tenants, by one process or several: loaded, rolled up, checked. The clock starts before the first."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial

from django.utils import timezone

from metering import housekeeping, jobs, processes
from metering.ledger import rollups
from metering.models import DirtyHour, JobRun
from metering.models.job_run import JobState
from tenants.models import Tenant

from . import checking, days, loading, plans
from .checking import Difference
from .truth import Truth

AT_ONCE = 10
"""Tenants of one portion: some seconds of work, so that progress is seen and processes end at about the same time."""
PAUSE = 0.2


@dataclass(frozen=True)
class Platform:
    """What is simulated: so many tenants of a seed, from the local day `first` up to `until` (aware, on a full UTC hour)."""

    seed: int
    tenants: int
    first: date
    until: datetime

    def days(self) -> list[date]:
        """Every local day of it; the last one may lie behind `until` east of it."""
        return days.every_day(self.first, self.until.date() + timedelta(days=1))

    def plan(self, number: int) -> plans.TenantPlan:
        """Who tenant `number` is, from 0."""
        return plans.make(self.seed, number, self.first, self.until.date())

    def truth(self, number: int) -> Truth:
        """What tenant `number` truly comes to, without a look at the database."""
        return loading.truth_of(self.plan(number), self.days(), self.until)


def begun(seed: int) -> Platform | None:
    """What the tenants of a seed were simulated with when it was begun, as far as this database remembers."""
    run = JobRun.objects.filter(task=jobs.SIMULATION, period=_period(seed)).first()
    if run is None:
        return None
    return Platform(
        seed,
        run.detail["tenants"],
        date.fromisoformat(run.detail["first"]),
        datetime.fromisoformat(run.detail["until"]),
    )


def _remember(platform: Platform) -> None:
    """So that a run that goes on, hours later, makes the same platform. Raises OtherPlatformError where the seed's is another one."""
    detail = {
        "tenants": platform.tenants,
        "first": platform.first.isoformat(),
        "until": platform.until.isoformat(),
    }
    now = timezone.now()
    run, made = JobRun.objects.get_or_create(
        task=jobs.SIMULATION, tenant=None, period=_period(platform.seed),
        defaults={"state": JobState.DONE, "lease_until": now, "finished_at": now, "detail": detail},
    )  # fmt: skip
    if made:
        return
    known = begun(platform.seed)
    if known is None or (known.first, known.until) != (platform.first, platform.until):
        raise OtherPlatformError(
            f"Seed {platform.seed} was begun from {run.detail['first']} to {run.detail['until']}, and its tenants stay as they are"
        )
    if platform.tenants > run.detail["tenants"]:
        run.detail["tenants"] = platform.tenants
        run.save(update_fields=["detail"])


def _period(seed: int) -> str:
    return f"seed {seed}"


class OtherPlatformError(Exception):
    """The seed's tenants were made for another span of time: their past cannot be written again."""


@dataclass(frozen=True)
class Done:
    """What came of a portion: truths by slug, ledger rows and hours written now, and what differs from the truth."""

    truths: dict[str, Truth]
    rows: int
    hours: int
    differences: list[Difference]


def run(platform: Platform, *, check: bool = True, workers: int = 1) -> Iterator[Done]:
    """Simulate the platform, portion after portion, with `workers` processes, this one among them; yields as it goes.

    Tenants that are there already are passed over (their truth is computed again), so that it can be resumed and extended. Without
    `check` nothing is compared. Raises OtherPlatformError.
    """
    _remember(platform)
    opens = datetime.combine(platform.first, datetime.min.time(), UTC) - timedelta(days=1)
    housekeeping.make_partitions(opens, platform.until)
    size = min(AT_ONCE, max(1, platform.tenants // (2 * workers)))
    cut = [range(at, min(at + size, platform.tenants)) for at in range(0, platform.tenants, size)]
    for _, done in processes.each_portion(partial(_simulate, platform=platform, check=check), cut, workers):
        yield done


def _simulate(numbers: range, platform: Platform, check: bool) -> Done:
    truths: dict[str, Truth] = {}
    rows, past = 0, platform.days()
    for number in numbers:
        plan = platform.plan(number)
        try:
            truths[plan.slug], written = loading.load(plan, past, platform.until)
            rows += written
        except loading.AlreadySimulatedError:
            truths[plan.slug] = loading.truth_of(plan, past, platform.until)
    hours = _roll_up(list(truths), platform.until)
    return Done(truths, rows, hours, list(checking.differences(truths, platform.until)) if check else [])


def _roll_up(slugs: list[str], until: datetime) -> int:
    """Roll up until nothing of these tenants is left; another worker may have some of them in hand."""
    ids = list(Tenant.objects.filter(slug__in=slugs).values_list("pk", flat=True))
    hours = rollups.run(until, only=ids)
    ours = DirtyHour.objects.filter(tenant__in=ids, hour__lt=until)
    while ours.exists():
        done = rollups.run(until, only=ids)
        hours += done
        if not done:
            time.sleep(PAUSE)
    return hours
