"""Asking a Prometheus, within a deadline."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from .integration import Sample


@dataclass(frozen=True, slots=True)
class Series:
    """A time series: its labels, and its raw samples in ascending order."""

    labels: Mapping[str, str]
    samples: list[Sample]


class AnswerError(RuntimeError):
    """Prometheus gave no usable answer."""


@dataclass(frozen=True, slots=True)
class Server:
    """A Prometheus that is asked until `time.monotonic()` reaches `deadline`. Raises AnswerError, httpx.HTTPError."""

    http: httpx.Client
    deadline: float

    def clock(self) -> float:
        """Its own time, unix seconds."""
        return float(self._ask({"query": "time()"})["result"][1])

    def samples(self, selector: str, start: float, end: float, beyond: float) -> list[Series]:
        """Raw samples of [start, end], and so many seconds beyond both ends."""
        seconds = math.ceil(end - start + 2 * beyond) + 1
        found = self._ask({"query": f"{selector}[{seconds}s]", "time": f"{end + beyond:.3f}"})
        if found.get("resultType") != "matrix":
            raise AnswerError("the selector is no plain series selector.")
        return [
            Series(
                each["metric"],
                [(float(at), float(value)) for at, value in each["values"] if math.isfinite(float(value))],
            )
            for each in found["result"]
        ]

    def _ask(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise AnswerError("no time was left.")
        limits = {**parameters, "timeout": f"{max(1, int(left * 1000))}ms"}
        answer = self.http.get("/api/v1/query", params=limits, timeout=left)
        try:
            document = answer.json()
        except json.JSONDecodeError:
            raise AnswerError(f"HTTP {answer.status_code}, and no JSON.") from None
        if document.get("status") != "success" or document.get("warnings"):
            raise AnswerError(
                str(document.get("error") or document.get("warnings") or f"HTTP {answer.status_code}")[:200]
            )
        found: dict[str, Any] = document["data"]
        return found
