"""What a door has to know. Django's doors read it from settings; the others are given it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

FailurePolicy = Literal["deny", "bounded", "allow"]

UNMETERED = frozenset({"reporting"})
"""Route classes that pass the windows and are neither quota-counted nor billed (reporting usage must not cost usage)."""


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of one enforcer.

    `timeout` (seconds) is the whole budget of asking Redis. `failure_policies` override `failure_policy` for a route class.
    `bounded_per_minute` is what one process admits by itself for one user while Redis is away, and only for keys that Redis
    verified in the last `remember_seconds`. `route_classes` maps a class to the cost of one call.
    """

    redis_url: str
    pepper: bytes
    timeout: float = 0.05
    failure_policy: FailurePolicy = "bounded"
    failure_policies: Mapping[str, FailurePolicy] = field(default_factory=dict)
    bounded_per_minute: int = 30
    remember_seconds: float = 300.0
    route_classes: Mapping[str, int] = field(default_factory=lambda: {"default": 1})
    unmetered: frozenset[str] = UNMETERED
    lease_size: int = 0
    """Calls that a process takes at once for a key that makes that many within `lease_seconds`, and then grants by itself; 0: never."""
    lease_seconds: float = 0.25
    request_increase_url: str = ""
    """Where a tenant asks for more; `{slug}` is replaced."""

    def policy_of(self, route_class: str) -> FailurePolicy:
        return self.failure_policies.get(route_class, self.failure_policy)

    def route_class(self, name: str) -> str:
        """`name` when it is a known class, else "default"."""
        return name if name in self.route_classes or name in self.unmetered else "default"

    def increase_url(self, slug: str) -> str:
        return self.request_increase_url.replace("{slug}", slug)
