"""The portal as a node's agent sees it: what the collectors must know, and where reports go."""

from __future__ import annotations

import json
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import httpx

from metering.attribution.coverage import Reserved
from metering.attribution.policy import Assigned
from metering.attribution.steps import Rule

from . import spool

Outcome = Literal["kept", "refused", "later", "away"]
NEVER = frozenset({400, 404, 413, 415, 422})
"""Statuses with which a report is refused for good. With any other failure it is sent again."""


class Portal:
    """The API at `url`, for one node with its token."""

    def __init__(self, url: str, token: str, node: str, *, timeout: float = 20) -> None:
        self.base = f"{url.rstrip('/')}/api/v1/collectors/{quote(node, safe='')}"
        self.http = httpx.Client(timeout=timeout, headers={"Authorization": f"Bearer {token}"})

    def context(self) -> dict[str, Any]:
        """Tenants, assignments, reservations. Raises httpx.HTTPError, ValueError."""
        answer = self.http.get(f"{self.base}/context").raise_for_status().json()
        return context_of(answer) and dict(answer)

    def send(self, name: str, path: Path, *, buffered: int) -> tuple[Outcome, str]:
        """What became of a report, and why in words when it was not kept; `away`: nobody answered."""
        body = json.dumps(spool.read(path)["report"], ensure_ascii=False).encode()
        try:
            answer = self.http.post(
                f"{self.base}/{name}/reports",
                content=body,
                params={"buffered": buffered},
                headers={"Content-Type": "application/json"},
            )
        except httpx.HTTPError as error:
            return "away", f"{type(error).__name__}: {error}"
        if answer.status_code == 200:
            return "kept", ""
        return ("refused" if answer.status_code in NEVER else "later"), f"{answer.status_code}: {answer.text[:500]}"


def context_of(document: dict[str, Any]) -> dict[str, Any]:
    """What config.build wants of it. Raises ValueError (KeyError, TypeError) for what is no context."""
    return {
        "tenants": frozenset(document["tenants"]),
        "assigned": [
            Assigned(each["device"], each["tenant"], Fraction(each["fraction"]), _at(each["starts_at"]), _maybe(each["ends_at"]))
            for each in document["assigned"]
        ],
        "reserved": [
            Reserved(
                each["id"], each["tenant"], each["model"], Fraction(each["fraction"]), Fraction(each["capacity"]),
                _at(each["started_at"]), _maybe(each["ended_at"]), each.get("job", ""),
            )
            for each in document["reserved"]
        ],
        "rules": [Rule(each["fact"], each["pattern"], each["tenant"]) for each in document.get("rules", ())],
    }  # fmt: skip


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _maybe(text: str | None) -> datetime | None:
    return None if text is None else _at(text)
