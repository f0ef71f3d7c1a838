"""What is said on every new connection, and the server's clock as seen from here. Shared by the blocking and the asyncio client."""

from __future__ import annotations

import hashlib
from base64 import b32encode
from collections.abc import Sequence
from typing import Any

from ..errors import RedisUnavailableError
from ..protocol.resp import Words
from ..protocol.scripts import DECIDE
from .address import Address

DEADLINE_SHARE = 0.8
"""A call is void after this share of its time budget: what is left is for the reply's way back."""

TRUST_CLOCK_SECONDS = 10.0


class Clock:
    """An estimate of Redis time that errs on the early side, so that a deadline never lies after the moment we give up."""

    def __init__(self) -> None:
        self._offset = 0.0
        self._taken = float("-inf")

    def observe(self, redis_ms: int, received: float) -> None:
        """A reply received at `received` (monotonic seconds) carried Redis time: since then at least that much time has passed."""
        offset = redis_ms - received * 1000
        if offset > self._offset or received - self._taken > TRUST_CLOCK_SECONDS:
            self._offset, self._taken = offset, received

    def set(self, redis_ms: int, received: float) -> None:
        """Forget earlier observations: the server's clock was set."""
        self._offset, self._taken = redis_ms - received * 1000, received

    def deadline(self, started: float, budget: float) -> int:
        """Redis time in ms after which a call that started at `started` (monotonic) with `budget` seconds is void."""
        return int((started + budget * DEADLINE_SHARE) * 1000 + self._offset)


def login(address: Address) -> list[Words]:
    """The command that proves who we are; none where no password is asked for."""
    if not address.password:
        return []
    return [("AUTH", address.username, address.password) if address.username else ("AUTH", address.password)]


class Handshake:
    """Commands to send first; their replies tell the server's generation and time, and whether it may be used at all."""

    def __init__(self, address: Address) -> None:
        select = [("SELECT", address.database)]
        self.commands: Sequence[Words] = [
            *login(address),
            *(select if address.database else []),
            ("SCRIPT", "LOAD", DECIDE.source),
            ("INFO", "server"),
            ("INFO", "replication"),
            ("TIME",),
        ]

    @staticmethod
    def read(replies: Sequence[Any], clock: Clock, received: float) -> bytes:
        """Set the clock and return the server's generation (8 bytes). Raises RedisUnavailableError for a replica."""
        server, replication, (seconds, micros) = replies[-3:]
        facts = parse_info(server) | parse_info(replication)
        if facts.get("role") != "master":
            raise RedisUnavailableError("readonly", "this server is a replica")
        clock.set(int(seconds) * 1000 + int(micros) // 1000, received)
        return generation(facts["run_id"], facts["master_replid"])


def generation(run_id: str, replication_id: str) -> bytes:
    """One life of a server: another one after a restart or a failover. 8 ASCII bytes."""
    return b32encode(hashlib.sha256(f"{run_id}/{replication_id}".encode()).digest()[:5]).lower()


def parse_info(text: bytes) -> dict[str, str]:
    """The fields of an INFO reply."""
    return dict(line.split(":", 1) for line in text.decode().splitlines() if ":" in line)
