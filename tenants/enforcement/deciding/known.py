"""Keys that Redis verified lately: their calls are ready-made, and they alone may use the local allowance in an outage."""

from __future__ import annotations

import time

from ...decisions import Decision
from ..config import Config
from ..protocol.calls import Call, build
from ..protocol.granted import Granted
from ..protocol.keys import PLATFORM, Credential

MAX_KNOWN = 20_000
MOST = 2**24 - 1
"""Highest cost of one call, weighted by its class: what the script can count in one entry."""

NOTHING = Decision("")
"""What Redis has said of a key before it was asked."""

MAX_SHAPES = 32
"""Different (cost, route class) pairs remembered per key; costs are the caller's, so their number must be bounded."""


class Known:
    """A presented credential with its prepared calls and what the last verification said."""

    __slots__ = ("_billed", "_calls", "_last", "credential", "subject", "verified_at")

    def __init__(self, credential: Credential, subject: str = "") -> None:
        self.credential = credential
        self.subject = subject or credential.subject
        self._last = self._billed = NOTHING
        self.verified_at = float("-inf")
        self._calls: dict[tuple[int, str, int], Call] = {}

    @property
    def is_key(self) -> bool:
        """False for callers without a key, of whom only the address is known: there is nothing to verify."""
        return bool(self.credential.digest)

    @property
    def tenant_id(self) -> int:
        """As the last verification said; 0 before the first."""
        return self._last.tenant_id

    @property
    def scopes(self) -> int:
        """As the last verification said."""
        return self._last.scopes

    @property
    def hour_offset(self) -> int:
        """Seconds after the UTC hour at which the tenant's billing hours begin, as the last billed call said."""
        return self._billed.hour % 3600

    def call(self, config: Config, cost: int, route_class: str, scopes: int) -> Call:
        """The call that this key makes, written out; built once for each shape."""
        shape = (cost, route_class, scopes)
        found = self._calls.get(shape)
        if found is None:
            found = build(
                self.credential.slug,
                self.credential.key_id,
                digest=self.credential.digest,
                subject=self.subject,
                scopes=scopes,
                cost=min(cost * config.route_classes.get(route_class, 1), MOST),
                route_class=route_class,
                metered=self.credential.slug != PLATFORM and route_class not in config.unmetered,
            )
            if len(self._calls) < MAX_SHAPES:
                self._calls[shape] = found
        return found

    def lease(self, call: Call, size: int, scopes: int) -> Call:
        """The call that takes `size` calls like `call` at once."""
        shape = (-size, call.route_class, scopes)
        found = self._calls.get(shape)
        if found is None:
            found = self._calls[shape] = build(
                self.credential.slug,
                self.credential.key_id,
                digest=self.credential.digest,
                subject=self.subject,
                scopes=scopes,
                cost=size * call.cost,
                route_class=call.route_class,
                metered=bool(call.counted_as),
                lease=True,
            )
        return found

    def confirm(self, decision: Decision) -> None:
        """Redis has just verified the key and granted a call."""
        self._last = decision
        if isinstance(decision, Granted) and decision.is_billed:
            self._billed = decision
        self.verified_at = time.monotonic()

    def verified_by_database(self, tenant_id: int, scopes: int) -> None:
        """Redis is away, and the database has found the key good."""
        self._last, self.verified_at = Decision("", tenant_id=tenant_id, scopes=scopes), time.monotonic()

    def is_fresh(self, seconds: float) -> bool:
        """Verified in the last `seconds`."""
        return time.monotonic() - self.verified_at <= seconds


class KnownKeys:
    """Known keys by their text, at most MAX_KNOWN; the oldest leave first. Threads share it: each step is one dict operation."""

    def __init__(self) -> None:
        self._by_text: dict[bytes, Known] = {}

    def get(self, text: bytes) -> Known | None:
        return self._by_text.get(text)

    def remember(self, text: bytes, known: Known) -> None:
        self._by_text[text] = known
        while len(self._by_text) > MAX_KNOWN:
            self._by_text.pop(next(iter(self._by_text)), None)

    def forget(self, text: bytes) -> None:
        """The key is no longer good: no local allowance for it."""
        self._by_text.pop(text, None)
