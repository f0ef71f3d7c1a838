"""The public verbs, for code inside the Django process."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial

from ..decisions import Decision
from .counting.flushing import flush
from .counting.usage_hash import read_usage
from .engine import away, enforcer, readiness
from .errors import RedisUnavailableError
from .holds import Holds
from .protocol.wire import scope_mask
from .publishing import building, policy
from .redis.control import control


@dataclass(frozen=True, slots=True)
class LiveUsage:
    """What Redis counts for a tenant: calls of the month by 'YYMM', and calls that limits in shadow mode would have refused."""

    calls: dict[str, int]
    shadow: dict[str, int]


def consume(key_text: str, *, cost: int = 1, route_class: str = "default", scope: str = "decide") -> Decision:
    """Decide a call of the key, and count it (windows, quota, bill) when it is granted; a refused call counts nowhere.

    `cost` 0…10,000 is how many calls it counts for. Never raises: an outage is decided by the failure policy.
    """
    mask = scope_mask([scope]) if scope else 0
    return enforcer().consume(key_text.encode(), cost=cost, route_class=route_class, scopes=mask)


def check(key_text: str, *, route_class: str = "default", scope: str = "decide") -> Decision:
    """Look without counting: is the key good, is the tenant served, what is left."""
    return consume(key_text, cost=0, route_class=route_class, scope=scope)


def usage(slug: str) -> LiveUsage:
    """The tenant's live counters. Raises RedisUnavailableError."""
    there = read_usage(control(), slug)
    fields = [(name.decode().split("|"), count) for name, count in there.items() if name[:1] != b"c"]
    return LiveUsage(
        {parts[1]: count for parts, count in fields if parts[0] == "m"},
        {f"{parts[1]}|{parts[2]}": count for parts, count in fields if parts[0] == "s"},
    )


def gpu_holds(slug: str, month: str) -> Holds:
    """The GPUs that the tenant's jobs hold in its month 'YYYY-MM'. Raises RedisUnavailableError."""
    return Holds(control(), slug, month)


def reconcile(now: datetime) -> int:
    """Publish whatever differs between the database and Redis, and correct the month's calls by what the ledger has learnt.

    Returns how many tenants were put right. Raises RedisUnavailableError, once those are whose servers answer.
    """
    done, failed = 0, None
    for step in (partial(policy.reconcile, now), building.rebase_all):
        try:
            done += step()
        except RedisUnavailableError as error:
            failed = error
    if failed:
        raise failed
    return done


__all__ = ["LiveUsage", "away", "check", "consume", "flush", "gpu_holds", "readiness", "reconcile", "usage"]
