"""Holds on GPUs: what a job may use is reserved before it starts, counted in one script with what is used and what others hold.

The database is the truth. It knows every hold; Redis decides, so that any number of callers never hold more than the caps. A build
puts the database's knowledge in place of whatever Redis has, under a new *epoch*; a grant names the epoch that it was made under, and
whoever grants commits only while that epoch is the tenant's (metering/reservations/book.py). So a grant that a build could not see is void.

Amounts are GPU seconds, GPUs are counted in ten-thousandths, money in millionths of the currency.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from .protocol.keys import month_tag, reservations_key
from .protocol.scripts import BUILD, CHANGE, RESERVE
from .redis.cluster import Control

TIME_TO_LIVE = 100 * 86_400
COST_LINGERS = timedelta(minutes=2)
"""For so long the cost of an ended hold counts on: rated usage follows the ledger after some seconds."""
PART = 10_000
_HOLD = struct.Struct(">QQQ6s8s")

GRANTED, OVER_QUOTA, TOO_MANY, CONFLICT, TOO_MANY_GPUS, OVER_BUDGET, OVER_PROJECT, NOT_BUILT = 1, 2, 3, 4, 5, 6, 7, 9
_CODES = {
    GRANTED: "",
    OVER_QUOTA: "quota",
    TOO_MANY: "reservations",
    CONFLICT: "conflict",
    TOO_MANY_GPUS: "gpus",
    OVER_BUDGET: "budget",
    OVER_PROJECT: "project_budget",
}


class NotBuiltError(RuntimeError):
    """Redis does not have the tenant's holds of this month: build them from the database, then ask again."""


@dataclass(frozen=True, slots=True)
class Hold:
    """One hold: GPU seconds left to use, GPUs × 10,000, cost of what is left in micro units, the 8-byte tag of its project.

    `ended_ms` is 0 while it runs; else only its cost counts, until that epoch millisecond.
    """

    id: str
    amount: int
    gpus: int
    cost: int = 0
    project: bytes = bytes(8)
    ended_ms: int = 0

    def pack(self) -> bytes:
        return _HOLD.pack(self.amount, self.gpus, self.cost, self.ended_ms.to_bytes(6, "big"), self.project)


@dataclass(frozen=True, slots=True)
class Caps:
    """What may be held besides what is used; None is unlimited. `used` is the month's use as the ledger has it."""

    used: int = 0
    quota: int | None = None
    gpus: int | None = None
    reservations: int = 1_000
    money: int | None = None
    project_money: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """May the hold be? `code` is "" or the cap that refuses: quota, gpus, reservations, budget, project_budget; or conflict.

    `used` and what is held are as Redis counted them in that very step, without the hold that was asked for.
    """

    code: str
    used: int
    held: int
    gpus: int
    cost: int
    project_cost: int
    epoch: str


class Holds:
    """The holds of one tenant in one month ('YYYY-MM'). Methods raise RedisUnavailableError."""

    def __init__(self, connection: Control, slug: str, month: str) -> None:
        self._connection = connection
        self._key = reservations_key(slug)
        self._tag = connection.generation_of(slug) + month_tag(month).encode()

    def reserve(self, hold: Hold, caps: Caps, *, more: bool = False) -> Answer:
        """Hold what `hold` says if every cap allows it; with `more`, in place of what this id holds.

        The same hold again is granted again and counted once. Raises NotBuiltError.
        """
        limits = [caps.quota, caps.gpus, caps.money, caps.project_money]
        quota, gpus, money, project = ("" if each is None else max(0, each) for each in limits)
        reply = self._connection.script(
            RESERVE, self._key, self._tag, hold.id, "more" if more else "new", hold.amount, quota, caps.used,
            hold.gpus, gpus, caps.reservations, hold.cost, money, hold.project, project,
        )  # fmt: skip
        if reply[0] == NOT_BUILT:
            raise NotBuiltError
        status, *numbers, epoch = reply
        used, held, gpus_held, cost, project_cost = numbers
        return Answer(_CODES[status], used, held, gpus_held, cost, project_cost, epoch.decode())

    def left(self, id: str, amount: int, cost: int) -> bool:
        """Part of a running hold is in the ledger now; this much is left of it. False when there is nothing to change."""
        return bool(self._connection.script(CHANGE, self._key, self._tag, id, "left", amount, cost, 0) == 1)

    def end(self, id: str, used: int, cost: int) -> bool:
        """A hold has ended and used this much since `left` was last told; all of it cost `cost`. Telling twice changes nothing."""
        lingers = COST_LINGERS // timedelta(milliseconds=1)
        return bool(self._connection.script(CHANGE, self._key, self._tag, id, "end", used, cost, lingers) == 1)

    def build(self, epoch: str, used: int, holds: Sequence[Hold]) -> None:
        """Put these in place of everything that is there. The caller holds the tenant's lock in the database."""
        words: list[str | bytes | int] = []
        for hold in holds:
            words += [hold.id, hold.pack()]
        self._connection.script(BUILD, self._key, self._tag, epoch, TIME_TO_LIVE, used, *words)
