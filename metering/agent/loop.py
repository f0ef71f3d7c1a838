"""Runs the collectors of a node when they are due, and sends what they learned. Each run is on disk before it is sent.

While the portal is away, runs go on with what was last known of tenants, assignments and reservations, and wait in the buffer. When the
buffer is full, what is in it stays and nothing new is read: the time since is billed as far as `max_gap` reaches once there is room again, and
the rest is a gap.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from metering.collectors import config, running
from metering.collectors.base import EVERYTHING, Collected, Collector, Gap
from metering.collectors.wire import Report

from .portal_client import Portal, context_of
from .spool import Spool

SEND_AT_MOST = 200
"""Reports per round, so that a long queue does not keep a collector waiting."""
FORGET_AFTER = 3
"""A pause of more than so many intervals is a gap."""

log = logging.getLogger(__name__)


class BusyError(RuntimeError):
    """Another process uses this buffer."""


@dataclass
class Agent:
    """The collectors of one node. `clock` answers aware UTC."""

    entries: Sequence[Mapping[str, Any]]
    node: str
    folder: Path
    portal: Portal
    most_bytes: int = 256 * 2**20
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    stopping: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = (self.folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"{self.folder} is used by another process.") from None
        self.spools = {entry["name"]: Spool(self.folder / entry["name"]) for entry in self.entries}

    def close(self) -> None:
        """Let go of the buffer."""
        self._lock.close()

    # ------------------------------------------------------------------------------------------------------------ rounds

    def once(self) -> dict[str, str]:
        """Every collector once, due or not, and everything sent; what each said, and under "" why something was not sent."""
        known = self.context()
        said = {entry["name"]: self.run(entry, known) for entry in self.entries} if known else {}
        left = self.send()
        if known is None:
            left = left or "Nothing was read: the portal has never said which tenants there are."
        return said | ({"": left} if left else {})

    def loop(self) -> None:
        """Run what is due, until `stopping`. One thread a collector, so that a slow one keeps no other waiting, and one that sends."""
        threads = [threading.Thread(target=self._each, args=[entry], daemon=True) for entry in self.entries]
        for thread in threads:
            thread.start()
        pause = 1.0
        while not self.stopping.is_set():
            why = self.send()
            pause = min(60.0, pause * 2) if why else 1.0
            if why:
                log.warning("agent.not_sent", extra={"why": why, "again_in_seconds": pause})
            self.stopping.wait(pause)
        for thread in threads:
            thread.join(timeout=5)

    def _each(self, entry: Mapping[str, Any]) -> None:
        while not self.stopping.is_set():
            started = time.monotonic()
            seconds = config.interval_of(entry)
            try:
                if (known := self.context()) and self._is_due(entry, seconds):
                    self.run(entry, known)
            except Exception:  # a full disk, say: the others go on, and so does this one
                log.exception("agent.failed", extra={"collector": entry["name"]})
            self.stopping.wait(max(0.5, min(seconds / 10, 5.0) - (time.monotonic() - started)))

    def _is_due(self, entry: Mapping[str, Any], seconds: int) -> bool:
        at, _ = self.spools[entry["name"]].last()
        return at is None or self.clock().timestamp() // seconds > at.timestamp() // seconds

    # ------------------------------------------------------------------------------------------------------------- steps

    def context(self) -> dict[str, Any] | None:
        """What the portal says now, else what it last said; None when it has never said anything."""
        kept = self.folder / "context.json"
        try:
            answer = self.portal.context()
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            log.warning("agent.context_not_read", extra={"why": f"{type(error).__name__}: {error}"[:300]})
            return context_of(json.loads(kept.read_text())) if kept.exists() else None
        part = self.folder / f"context.{threading.get_ident()}.part"
        part.write_text(json.dumps(answer))
        os.replace(part, kept)
        return context_of(answer)

    def run(self, entry: Mapping[str, Any], known: Mapping[str, Any]) -> str:
        """Read once and put it into the buffer; the state in a word."""
        spool = self.spools[entry["name"]]
        if sum(each.size() for each in self.spools.values()) >= self.most_bytes:
            log.error("agent.buffer_full", extra={"collector": entry["name"], "bytes": self.most_bytes})
            return "buffer full"
        last_at, memory = spool.last()
        collector = config.build(entry, node=self.node, memory=memory, **known)
        now = self.clock()
        if last_at is not None and now <= last_at:  # the clock was set back: reports keep their order
            now = last_at + timedelta(microseconds=1)
        started = time.monotonic()
        collected = running.collect(collector, now, started + collector.timeout_seconds)
        collected = _with_pause(collected, collector, last_at, now)
        if collected.memory == {} and collected.state == "error":
            collected = replace(collected, memory=memory)
        duration = round((time.monotonic() - started) * 1000)
        spool.add(Report(now, collector.kind, collector.meter, collector.interval_seconds, duration, collected))
        return str(collected.state)

    def send(self) -> str:
        """Send what waits, oldest first; "" when all of it that could be was, else why not.

        A report that must wait keeps back what its own collector said after it, and no other collector's.
        """
        left = ""
        for name, spool in self.spools.items():
            waiting = spool.waiting()
            for position, path in enumerate(waiting[:SEND_AT_MOST], 1):
                outcome, why = self.portal.send(name, path, buffered=len(waiting) - position)
                if outcome == "away":
                    return why
                if outcome == "later":
                    left = left or why
                    break
                if outcome == "refused":
                    log.error("agent.report_refused", extra={"collector": name, "why": why})
                    spool.refuse(path, why)
                else:
                    spool.done(path)
                if self.stopping.is_set():
                    return left
        return left


def _with_pause(collected: Collected, collector: Collector, last_at: datetime | None, now: datetime) -> Collected:
    """With a gap for the time in which nothing ran. Collectors of GPUs tell it themselves, by device."""
    if last_at is None or collector.kind in config.OF_GPUS:
        return collected
    if now - last_at <= timedelta(seconds=FORGET_AFTER * collector.interval_seconds):
        return collected
    pause = Gap(EVERYTHING, "The collector did not run.", starts_at=last_at, ends_at=now)
    return replace(collected, gaps=(*collected.gaps, pause))
