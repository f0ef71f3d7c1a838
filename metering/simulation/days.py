"""PURE. What a simulated tenant does on a day, in whole numbers, so that its truth is a sum of integers.

As in life, some GPU events are delivered twice and some are corrected later: the ledger has to cope, the truth knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from .plans import TenantPlan

SOURCE = "simulator"
WORKING_HOURS = (9, 13, 17)
"""The local hours that a day's calls are counted in."""

ROUTES = (("imaging", 0.5), ("search", 0.3), ("ml", 0.2))
TWICE = 50
CORRECTED = 40
"""One GPU event in so many is delivered twice; one is corrected."""

MILLI = 1_000


class Calls(NamedTuple):
    """Calls that were admitted in the hour around `at` (aware UTC)."""

    at: datetime
    route_class: str
    times: int


class Held(NamedTuple):
    """GPU time: `milliseconds` is what is right in the end, `billed_first` what was said at first (more, when a correction follows)."""

    id: str
    at: datetime
    model: str
    project: str
    user: str
    milliseconds: int
    billed_first: int
    twice: bool


class Stored(NamedTuple):
    """A reading: so many bytes on the volume at `at` (aware UTC)."""

    id: str
    at: datetime
    volume: str
    bytes: int


@dataclass(frozen=True)
class Day:
    """Everything of a tenant's local day."""

    calls: list[Calls]
    held: list[Held]
    stored: list[Stored]


def day_of(plan: TenantPlan, day: date, until: datetime) -> Day:
    """What `plan` does on the local day, as far as it lies before `until` (aware). Depends on nothing but its arguments."""
    busy = plan.activity(day)
    if day < plan.joined:
        return Day([], [], [])
    chance = Random(f"{plan.slug}/{day}")  # noqa: S311
    zone = ZoneInfo(plan.time_zone)

    def at(hour: int, minute: int) -> datetime:
        return datetime.combine(day, time(hour, minute), zone).astimezone(UTC)

    made = Day(_calls(plan, busy, chance, at), _held(plan, day, busy, chance, at), _stored(plan, day, chance, at))
    return Day(
        [each for each in made.calls if each.at < until],
        [each for each in made.held if each.at < until],
        [each for each in made.stored if each.at < until],
    )


def _calls(plan: TenantPlan, busy: float, chance: Random, at: Any) -> list[Calls]:
    share = plan.calls_a_day * busy / len(WORKING_HOURS)
    counts = [
        Calls(at(hour, 10), route, round(share * part * chance.uniform(0.8, 1.2)))
        for hour in WORKING_HOURS
        for route, part in ROUTES
    ]
    return [each for each in counts if each.times]


def _held(plan: TenantPlan, day: date, busy: float, chance: Random, at: Any) -> list[Held]:
    found = []
    for model, part in plan.fleet:
        milliseconds = round(plan.gpu_hours_a_day * 3_600 * MILLI * busy * part * chance.uniform(0.5, 1.5))
        project, user = chance.choice(plan.projects), chance.choice(plan.people)
        corrected, twice = chance.randrange(CORRECTED) == 0, chance.randrange(TWICE) == 0
        first = round(milliseconds * 1.25) if corrected else milliseconds
        if milliseconds:
            found.append(Held(f"{model}-{day}", at(15, 30), model, project, user, milliseconds, first, twice))
    return found


def _stored(plan: TenantPlan, day: date, chance: Random, at: Any) -> list[Stored]:
    age = 1 + plan.growth * (day - plan.joined).days / 7
    return [
        Stored(f"{volume}-{day}", at(4, 20), volume, max(0, int(size * age * chance.uniform(0.97, 1.03))))
        for volume, size in plan.volumes
    ]


def events_of(day: Day) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The day as CloudEvents: those to send at first, and those that come later (deliveries once more, and corrections)."""
    at_first, later = [], []
    for held in day.held:
        dims = {"model": held.model, "project": held.project, "user": held.user}
        event = _event("gpu_seconds", held.id, held.at, _seconds(held.billed_first), dims)
        at_first.append(event)
        if held.twice:
            later.append(event)
        if held.billed_first != held.milliseconds:
            dims["corrects"] = {"source": SOURCE, "id": held.id}  # type: ignore[assignment]
            correction = _seconds(held.milliseconds - held.billed_first)
            later.append(_event("gpu_seconds", f"{held.id}-corrected", held.at, correction, dims))
    at_first += [
        _event("storage_bytes", stored.id, stored.at, stored.bytes, {"volume": stored.volume}) for stored in day.stored
    ]
    return at_first, later


def _seconds(milliseconds: int) -> str:
    sign, size = ("-", -milliseconds) if milliseconds < 0 else ("", milliseconds)
    return f"{sign}{size // MILLI}.{size % MILLI:03d}"


def _event(kind: str, event_id: str, at: datetime, quantity: str | int, dims: dict[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": event_id, "source": SOURCE, "type": kind, "time": at.isoformat(), "data": {"quantity": quantity, **dims},
    }  # fmt: skip


def closed(time_zone: str, until: datetime) -> datetime:
    """The end of the last billing hour that is over at `until` (aware): hours count from the local month's start, at :30 in some zones.

    A tenant's past ends there. What lies between this and `until` belongs to an hour that goes on.
    """
    local = until.astimezone(ZoneInfo(time_zone))
    start = datetime(local.year, local.month, 1, tzinfo=local.tzinfo).astimezone(UTC)
    return until - (until - start) % timedelta(hours=1)


def every_day(first: date, last: date) -> list[date]:
    """`first` to `last`, both included."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]
