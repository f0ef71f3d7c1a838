"""Why a decision could not be had."""

from __future__ import annotations

ANSWERED = frozenset({"ledger", "not_built", "moved", "ask", "tryagain"})
"""Reasons with which Redis itself is well: the database is away, the tenant is not built, or its slot is on its way to another server.
They open no circuit breaker."""


class RedisUnavailableError(Exception):
    """Redis did not answer in time, is not reachable, or refuses to work. `reason` is short and fit for a metric label."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason

    @classmethod
    def from_reply(cls, text: str) -> RedisUnavailableError:
        """From an error reply: its first word says what it is (LOADING, READONLY, OOM, MOVED …)."""
        word = text.split(" ", 1)[0].lower()
        return cls(word if word.isalpha() and len(word) <= 12 else "error", text[:200])


class IdleConnectionError(RedisUnavailableError):
    """The server closed the connection before anything was sent: asking on a new one cannot count twice."""


class UnknownTenantError(Exception):
    """No tenant has that slug. Callers answer as they answer an invalid key."""
