"""The ledger as enforcement sees it: a protocol and a registry, because `tenants` may not import `metering`.

`metering.apps` registers its implementation at start. All counts are absolute and only grow within a generation, so that a repeated
or reordered hand-over changes nothing: write them with GREATEST. What is billed for one (tenant, hour, generation, key, class) is

    max(count that Redis kept, Σ counts that the processes kept)

and generations add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

LOCAL_GENERATION = "local"
"""Generation of the calls that a process admitted by itself while Redis was away: only process counts exist for it."""


@dataclass(frozen=True, slots=True)
class CallCount:
    """API calls of one key and route class within one hour of one generation.

    `hour` is the aware UTC start of the hour; hours are counted from the start of the tenant's billing period, so that in zones with
    an offset of 30 or 45 minutes no hour straddles two periods. `count` is absolute and weighted by the calls' cost.
    """

    tenant_id: int
    hour: datetime
    generation: str
    key_id: str
    route_class: str
    count: int


class Ledger(Protocol):
    """What the billing side does for enforcement. Methods raise on failure and then have written nothing."""

    def record_redis_counts(self, counts: Sequence[CallCount]) -> None:
        """Keep what Redis counted: insert, or raise the stored count to this one (GREATEST)."""

    def record_process_counts(self, process: str, counts: Sequence[CallCount]) -> None:
        """Keep what one process saw admitted (GREATEST); `process` is unique to a process's life, at most 40 characters."""

    def used(self, tenant_id: int, meter: str, start: datetime, end: datetime, *, except_generation: str = "") -> int:
        """Billed use of a meter in [start, end), in its base unit (calls, seconds, bytes); for `api_calls` without one generation."""


class LedgerMissingError(RuntimeError):
    """No ledger is registered: counters cannot be rebuilt, so nothing may be granted."""


_registered: Ledger | None = None


def register(ledger: Ledger) -> None:
    """Make `ledger` the one that enforcement reads and writes. The last registration wins."""
    global _registered
    _registered = ledger


def current() -> Ledger:
    """The registered ledger. Raises LedgerMissingError when there is none."""
    if _registered is None:
        raise LedgerMissingError(
            "No ledger is registered. Add 'metering' to INSTALLED_APPS, or call ledger.register()."
        )
    return _registered
