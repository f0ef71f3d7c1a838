"""Holds on a meter: what a job may use is reserved before it starts, and settled at what it really used.

Used, held and asked are added up in one script, so that any number of callers never hold more than the cap. Amounts are in the
meter's base unit (GPU seconds). The database stays the truth: it knows every hold and its settlement, Redis is built from it when it
has lost them, and keeps counting a settled amount until `absorb` says that the ledger's use of the month contains it.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import RedisUnavailableError
from .keys import month_tag, reservations_key
from .redis import Connection
from .scripts import ABSORB, HOLD, RESERVE, Script

TIME_TO_LIVE = 100 * 86_400
ATTEMPTS = 5
_HOLD = struct.Struct(">BQ6s6s6sQ")

GRANTED, OVER_CAP, TOO_MANY, CONFLICT, NOT_BUILT = 1, 2, 3, 4, 9


@dataclass(frozen=True, slots=True)
class Hold:
    """A running hold as the database knows it. Times are epoch milliseconds; `rate` is base units used per 1,000 s of running."""

    id: str
    amount: int
    rate: int
    started_ms: int
    heartbeat_ms: int
    lapses_ms: int

    def pack(self) -> bytes:
        times = [each.to_bytes(6, "big") for each in (self.started_ms, self.heartbeat_ms, self.lapses_ms)]
        return _HOLD.pack(1, self.amount, *times, self.rate)


@dataclass(frozen=True, slots=True)
class Known:
    """What the database knows at one moment: the ledger's use of the month, the running holds, and settled ones within that use."""

    used: int
    running: Sequence[Hold] = ()
    absorbed: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """May the hold be? `code` is "", "quota_exceeded", "too_many_reservations" or "conflict". `left` is None without a cap."""

    code: str
    used: int
    held: int
    asked: int
    left: int | None
    lapses_ms: int = 0


class Holds:
    """The holds of one tenant in one month ('YYYY-MM')."""

    def __init__(self, connection: Connection, slug: str, month: str, known: Callable[[], Known]) -> None:
        """`known` reads the database; it is called when Redis has lost the holds or a month begins."""
        self._connection = connection
        self._key = reservations_key(slug)
        self._month = month_tag(month)
        self._known = known

    def reserve(
        self, id: str, amount: int, *, cap: int | None, rate: int, lapse_after: float, most: int = 1_000
    ) -> Answer:
        """Hold `amount` for a job that uses `rate` units per 1,000 s and sends a heartbeat at least every `lapse_after` seconds.

        The same id and amount again answers the same and counts once. Raises RedisUnavailableError.
        """
        arguments = (id, amount, "" if cap is None else cap, rate, int(lapse_after * 1000), most)
        status, used, held, asked, lapses = self._run(RESERVE, self._connection.generation, self._month, *arguments)
        codes = {GRANTED: "", OVER_CAP: "quota_exceeded", TOO_MANY: "too_many_reservations", CONFLICT: "conflict"}
        taken = used + held + (asked if status == GRANTED else 0)
        return Answer(codes[status], used, held, asked, None if cap is None else max(0, cap - taken), lapses)

    def heartbeat(self, id: str, *, lapse_after: float) -> bool:
        """The job runs on. False when there is no such running hold (it has lapsed, or was settled)."""
        return bool(self._run(HOLD, self._generation, id, "heartbeat", int(lapse_after * 1000))[0])

    def settle(self, id: str, used: int) -> bool:
        """The job has ended and used this much (0 cancels). False when there was no running hold; settling twice changes nothing."""
        return bool(self._run(HOLD, self._generation, id, "settle", used)[0])

    def absorb(self) -> None:
        """Take over what the database knows now: the ledger's use, and the settled holds that it contains."""
        for _ in range(ATTEMPTS):
            seen = self._connection.command("HGET", self._key, "g") or b""
            known = self._known()
            words: list[str | bytes | int] = [*known.absorbed]
            for hold in known.running if seen[:8] != self._connection.generation else ():
                words += [hold.id, hold.pack()]
            head = (self._key, seen, self._generation, TIME_TO_LIVE, known.used, len(known.absorbed))
            if self._connection.script(ABSORB, *head, *words):
                return
            time.sleep(0)
        raise RedisUnavailableError("not_built", "the holds kept changing")

    @property
    def _generation(self) -> bytes:
        return self._connection.generation + self._month.encode()

    def _run(self, script: Script, *arguments: str | bytes | int) -> list[Any]:
        for _ in range(ATTEMPTS):
            reply: list[Any] = self._connection.script(script, self._key, *arguments)
            if reply[0] != NOT_BUILT:
                return reply
            self.absorb()
        raise RedisUnavailableError("not_built", "the holds could not be built")
