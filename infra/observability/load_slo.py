"""What the load tests judge by: the 429 contract, percentiles, and the objectives with their verdicts. No Locust in here."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WINDOWS = ("minute", "hour", "day")
TARGETS = {"p95_ms": 500.0, "error_rate": 0.01, "refused_rate": 0.01}


@dataclass(frozen=True)
class Verdict:
    """One objective: what was promised, what was seen, and whether it holds."""

    name: str
    target: float
    actual: float
    unit: str

    @property
    def met(self) -> bool:
        return self.actual < self.target

    def shown(self) -> dict[str, Any]:
        return {"name": self.name, "target": self.target, "actual": round(self.actual, 4), "unit": self.unit, "met": self.met}  # fmt: skip


def verdicts(
    p95_ms: float,
    requests: int,
    errors: int,
    refused: int,
    broken_refusals: int,
    let_through: int,
    targets: Mapping[str, float] = TARGETS,
) -> list[Verdict]:
    """The objectives of a run: latency, requests and refusals are those of users within their limits, errors everybody's.

    Refusals (429) are no errors, but who is within the limits is not to be refused; a refusal that breaks the contract is one objective
    missed, and so is one call that an Allowance finds let through over a limit. No request at all misses all.
    """
    errors_of, refused_of = ((each / requests if requests else 1.0) for each in (errors, refused))
    return [
        Verdict("latency p95", targets["p95_ms"], p95_ms if requests else float("inf"), "ms"),
        Verdict("error rate", targets["error_rate"], errors_of, "ratio"),
        Verdict("refused within the limits", targets["refused_rate"], refused_of, "ratio"),
        Verdict("refusals against the contract", 1, broken_refusals, "answers"),
        Verdict("let through over a limit", 1, let_through, "calls"),
    ]


class Allowance:
    """What one caller was granted, held against its shortest window: more than the limit in less than its length is over, for certain."""

    def __init__(self) -> None:
        self._asked: deque[float] = deque()

    def granted(self, asked: float, answered: float, headers: Mapping[str, str]) -> str:
        """What is wrong with a granted answer (both times in seconds of one clock); "" when nothing is."""
        window = _WINDOW.search({name.lower(): value for name, value in headers.items()}.get("ratelimit-policy", ""))
        if window is None:
            return "a granted answer without RateLimit-Policy: nobody decides"
        limit, seconds = int(window[1]), int(window[2])
        self._asked.append(asked)
        while len(self._asked) > limit + 1:
            self._asked.popleft()
        over = len(self._asked) > limit and answered - self._asked[0] < seconds
        return f"more than {limit} calls were let through in {seconds} s" if over else ""


_WINDOW = re.compile(r"q=(\d+);w=(\d+)")
"""The first of RateLimit-Policy is the shortest."""


def all_met(found: Sequence[Verdict]) -> bool:
    return all(each.met for each in found)


def contract_violations(status: int, headers: Mapping[str, str], body: Any, cost: int = 1) -> list[str]:
    """What is wrong with a refusal (429) of a rate limit or a quota, one sentence each; empty when it keeps the contract.

    `cost` is what the call costs, by the weight of its route class: as many must not have been left.
    """
    if status != 429:
        return [f"status {status} instead of 429"]
    if not isinstance(body, Mapping):
        return ["the body is no JSON object"]
    small = {name.lower(): value for name, value in headers.items()}
    found = [f"{name} is missing or no number" for name in _NUMBERS if not small.get(name, "").isdecimal()]
    found += [f"body.{name} is missing" for name in ("detail", "code") if not body.get(name)]
    if body.get("code") == "quota_exceeded":
        return found + [f"body.{name} is missing" for name in ("meter", "used", "limit", "resets_at") if name not in body]  # fmt: skip
    if body.get("window") not in WINDOWS:
        found.append(f"body.window is {body.get('window')!r}")
    if str(body.get("retry_after")) != small.get("retry-after"):
        found.append("body.retry_after is not Retry-After")
    if str(body.get("limit")) != small.get("x-ratelimit-limit"):
        found.append("body.limit is not X-RateLimit-Limit")
    if not found and int(small["x-ratelimit-remaining"]) >= cost:
        found.append(f"X-RateLimit-Remaining is {small['x-ratelimit-remaining']}, enough for a call that costs {cost}")
    if small.get("retry-after") == "0":
        found.append("Retry-After is 0")
    return found


_NUMBERS = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "retry-after")
