"""PURE. The tenants of a simulation, drawn from a seed: the same seed and number give the same tenants, whoever comes after them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

ZONES = (
    "Europe/Zurich", "America/New_York", "Asia/Kolkata", "UTC", "Australia/Lord_Howe", "America/Santiago", "Asia/Tokyo", "Africa/Cairo",
)  # fmt: skip
"""With and without clock changes, on both halves of the globe, two of them with half hours."""

MODELS = ("H100", "A100", "L40S", "L4")
TIERS = ("starter", "standard", "scale")
_PLACES = ("Radiology", "Research Hospital", "Diagnostics", "Imaging", "Clinic", "Institute")


@dataclass(frozen=True)
class Incident:
    """Days on which a tenant's use is `factor` times what it would be: 0 for an outage, several times for a loop gone wild."""

    first: date
    days: int
    factor: float


@dataclass(frozen=True)
class TenantPlan:
    """What shapes one tenant's use. `season` is the swing of the year (0.2: a fifth up and down), `growth` what a week adds (0.01: 1 %)."""

    slug: str
    name: str
    tier: str
    time_zone: str
    joined: date
    calls_a_day: float
    gpu_hours_a_day: float
    fleet: tuple[tuple[str, float], ...]
    volumes: tuple[tuple[str, int], ...]
    growth: float
    season: float
    season_peak: int
    weekend: float
    projects: tuple[str, ...]
    people: tuple[str, ...]
    incidents: tuple[Incident, ...]

    def activity(self, day: date) -> float:
        """How busy a day is against an average one: week, season, growth since joining, incidents."""
        if day < self.joined:
            return 0.0
        swing = 1 + self.season * math.cos((day.timetuple().tm_yday - self.season_peak) / 365.25 * math.tau)
        grown = math.exp(self.growth * (day - self.joined).days / 7)
        week = self.weekend if day.weekday() >= 5 else (7 - 2 * self.weekend) / 5
        incident = math.prod(each.factor for each in self.incidents if 0 <= (day - each.first).days < each.days)
        return swing * grown * week * incident


def make(seed: int, number: int, first: date, last: date) -> TenantPlan:
    """Tenant `number` (from 0) of a platform that is looked at from `first` to `last`. Two thirds are there from the start."""
    chance = Random(f"{seed}/{number}")  # noqa: S311
    days = (last - first).days
    size = chance.lognormvariate(0, 1.3)
    tier = TIERS[0] if size < 0.5 else TIERS[1] if size < 3 else TIERS[2]
    models = chance.sample(MODELS, k=chance.randint(1, 3))
    weights = [chance.uniform(0.2, 1) for _ in models]
    joined = first if chance.random() < 2 / 3 else first + timedelta(days=chance.randrange(max(1, days)))
    return TenantPlan(
        slug=f"sim-{seed}-{number:05d}",
        name=f"{chance.choice(('North', 'South', 'East', 'West', 'Lake', 'Hill'))} {chance.choice(_PLACES)} {number:05d}",
        tier=tier,
        time_zone=ZONES[number % len(ZONES)],
        joined=joined,
        calls_a_day=round(8_000 * size, 3),
        gpu_hours_a_day=round(2.5 * size * chance.uniform(0.2, 2), 3),
        fleet=tuple((model, weight / sum(weights)) for model, weight in zip(models, weights, strict=True)),
        volumes=tuple((name, int(4e11 * size * chance.uniform(0.3, 1))) for name in ("archive", "scratch")[: chance.randint(1, 2)]),
        growth=chance.gauss(0.006, 0.006),
        season=chance.uniform(0, 0.3),
        season_peak=chance.randrange(365),
        weekend=chance.uniform(0.15, 0.9),
        projects=tuple(chance.sample(("mammography", "chest-ct", "neuro-mri", "pathology", "triage"), k=chance.randint(1, 3))),
        people=tuple(f"user{index}" for index in range(1, chance.randint(2, 5))),
        incidents=tuple(
            Incident(first + timedelta(days=chance.randrange(max(1, days))), chance.randint(1, 3), chance.choice((0.0, 0.2, 4.0, 8.0)))
            for _ in range(chance.randint(0, 4))
        ),
    )  # fmt: skip
