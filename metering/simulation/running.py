"""A simulation in portions of tenants, by one process or several: loaded, rolled up, checked. The clock starts before the first."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial

from metering import housekeeping, processes
from metering.ledger import rollups
from metering.models import DirtyHour
from tenants.models import Tenant

from . import checking, days, loading, plans
from .checking import Difference
from .span import OtherSpanError, Span, of_tenant
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

    @property
    def span(self) -> Span:
        """The time that it is about."""
        return Span(self.first, self.until)

    def days(self) -> list[date]:
        """Every local day of it; the last one may lie behind `until` east of it."""
        return days.every_day(self.first, self.until.date() + timedelta(days=1))

    def plan(self, number: int) -> plans.TenantPlan:
        """Who tenant `number` is, from 0."""
        return plans.make(self.seed, number, self.first, self.until.date())

    def truth(self, number: int) -> Truth:
        """What tenant `number` truly comes to, without a look at the database."""
        return loading.truth_of(self.plan(number), self.days(), self.until)


@dataclass(frozen=True)
class Done:
    """What came of a portion: truths by slug, ledger rows and hours written now, and what differs from the truth."""

    truths: dict[str, Truth]
    rows: int
    hours: int
    differences: list[Difference]


def run(platform: Platform, *, check: bool = True, workers: int = 1) -> Iterator[Done]:
    """Simulate the platform, portion after portion, with `workers` processes, this one among them; yields as it goes.

    Tenants that are there already are passed over (their truth is computed again), so that it can be resumed and extended, and two
    that run at once share the work. Without `check` nothing is compared. Raises OtherSpanError when they are there for another time.
    """
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
            _expect_the_same_span(plan.slug, platform)
            truths[plan.slug] = loading.truth_of(plan, past, platform.until)
    hours = _roll_up(list(truths), platform.until)
    return Done(truths, rows, hours, list(checking.differences(truths, platform.until)) if check else [])


def _expect_the_same_span(slug: str, platform: Platform) -> None:
    there = of_tenant(Tenant.objects.get(slug=slug))
    if there != platform.span:
        raise OtherSpanError(f"{slug} was simulated for another time: {there}, not {platform.span}.")


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
