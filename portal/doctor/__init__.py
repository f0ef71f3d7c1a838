"""Looks at the whole chain, from settings to dashboards, and says what to mend: `manage.py doctor`.

    parts.py      what the portal runs on: settings, PostgreSQL, the ledger, Redis, broker, worker, beat, collectors, mail
    watchers.py   what watches it: Prometheus, its targets, rules and panels, Alertmanager, Grafana's keys
    tracing.py    a span that is sent and found again
    asking.py     HTTP with a deadline

Every check runs in a thread of its own with a deadline. One that hangs is reported as broken and left behind: threads are daemons.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from django.db import connections


class State(StrEnum):
    """How a part is."""

    OK = "ok"
    NOT_CONFIGURED = "not configured"
    BROKEN = "broken"


@dataclass(frozen=True)
class Finding:
    """What a check found, and what to do about it ("" when nothing is to be done)."""

    state: State
    text: str
    mend: str = ""


def ok(text: str) -> Finding:
    return Finding(State.OK, text)


def unset(text: str, mend: str) -> Finding:
    return Finding(State.NOT_CONFIGURED, text, mend)


def broken(text: str, mend: str) -> Finding:
    return Finding(State.BROKEN, text, mend)


@dataclass(frozen=True)
class Check:
    """A check by name; `seconds` is its deadline, `mend` what to do about an error that it does not know."""

    name: str
    look: Callable[[], Finding]
    seconds: float = 10.0
    mend: str = "Nobody expected this here: the text above is all that is known."


@dataclass(frozen=True)
class Result:
    """A check's finding and how long it took, in seconds."""

    name: str
    finding: Finding
    took: float

    def as_dict(self) -> dict[str, Any]:
        return {
            "check": self.name,
            **asdict(self.finding),
            "state": self.finding.state.value,
            "seconds": round(self.took, 3),
        }


def examine(checks: Iterable[Check]) -> list[Result]:
    """All checks at the same time, in their order; returns when the last one has ended or its deadline has passed."""
    running = [_Running(check) for check in checks]
    return [each.result() for each in running]


class _Running:
    def __init__(self, check: Check) -> None:
        self._check = check
        self._finding: Finding | None = None
        self._took = 0.0
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"doctor: {check.name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            finding = self._check.look()
        except Exception as error:  # whatever a broken part throws is what is to be told
            finding = broken(f"{type(error).__name__}: {_first_line(error)}", self._check.mend)
        finally:
            connections.close_all()
        self._took = time.monotonic() - self._began
        self._finding = finding

    def result(self) -> Result:
        self._thread.join(max(0.0, self._began + self._check.seconds - time.monotonic()))
        if (finding := self._finding) is None:
            text = f"no answer within {self._check.seconds:g} s"
            return Result(
                self._check.name,
                broken(text, "It hangs: look whether it runs, and what lies between."),
                self._check.seconds,
            )
        return Result(self._check.name, finding, self._took)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200]
