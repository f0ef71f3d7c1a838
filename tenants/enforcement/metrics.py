"""Prometheus metrics of enforcement. prometheus_client only: the doors without Django use them too."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from prometheus_client import Counter, Gauge, Histogram

DECISIONS = Counter(
    "portal_enforcement_decisions", "Decisions by door and outcome (granted or a problem code).", ["door", "outcome"]
)
DECISION_SECONDS = Histogram(
    "portal_enforcement_decision_seconds",
    "Time to a decision, Redis included.",
    ["door"],
    buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5),
)
API_REQUESTS = Counter("portal_api_requests", "Granted calls, by tenant and route group.", ["tenant", "route_group"])
LIMIT_HITS = Counter("portal_rate_limit_hits", "Calls refused by a limit: minute, hour, day or month.", ["scope"])
SHADOW_HITS = Counter(
    "portal_enforcement_shadow_rejections", "Calls that a limit in shadow mode would have refused.", ["scope"]
)
UNAVAILABLE = Counter(
    "portal_enforcement_unavailable",
    "Calls that Redis could not decide, by what was done instead and why.",
    ["policy", "reason"],
)
BREAKER_OPEN = Gauge(
    "portal_enforcement_breaker_open", "1 while this process spares Redis.", multiprocess_mode="livesum"
)
REBUILDS = Counter("portal_enforcement_rebuilds", "Tenants rebuilt in Redis from the database, by result.", ["result"])
PUBLICATIONS = Counter(
    "portal_policy_publications", "Policies published to Redis, by result: applied, superseded, failed.", ["result"]
)
BOOKED = Counter("portal_enforcement_flushed_rows", "Counter rows handed to the ledger, by source.", ["source"])


def observe_all(histogram: Histogram, values: Iterable[float]) -> None:
    """As `histogram.observe` of each value, in a tenth of the time: one lock for each bucket and not two for each value."""
    bounds = histogram._upper_bounds
    found = [0] * len(bounds)
    total = 0.0
    for value in values:
        found[bisect_left(bounds, value)] += 1
        total += value
    histogram._sum.inc(total)
    for bucket, count in zip(histogram._buckets, found, strict=True):
        if count:
            bucket.inc(count)
