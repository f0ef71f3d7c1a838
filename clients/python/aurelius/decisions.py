"""What the portal decides about one call, and what can decide: over HTTP, in process on Redis, or anything with the same two methods."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Protocol

Fields = list[tuple[bytes, bytes]]
"""Header fields as ASGI has them: names in small letters."""

PROBLEM_JSON = (b"content-type", b"application/problem+json")
PROBLEM_TYPE = "https://docs.aurelius.example/problems/"
UNAVAILABLE = "enforcement_unavailable"


class DecisionUnavailableError(Exception):
    """Nobody could decide: the endpoint or Redis is away, slow or confused. Nothing is known to be counted."""


class Decision:
    """May the call go ahead? When it may, it has been counted (unless it was only looked at, with cost 0).

    `status` is 200, or what the client shall get: 401, 402, 403, 429, 503. `fields` are the header fields that tell the client its limits
    (X-RateLimit-*, RateLimit, RateLimit-Policy, Retry-After), `body` the problem detail of a refusal. `tenant`, `subject` and `key_id` say
    who calls. `local` is true when the portal was away and this process decided by itself.
    """

    __slots__ = ("_problem", "body", "fields", "key_id", "local", "status", "subject", "tenant")

    def __init__(
        self,
        status: int,
        fields: Fields,
        body: bytes = b"",
        tenant: str = "",
        subject: str = "",
        key_id: str = "",
        local: bool = False,
    ) -> None:
        self.status: int = status
        self.fields: Fields = fields
        self.body: bytes = body
        self.tenant: str = tenant
        self.subject: str = subject
        self.key_id: str = key_id
        self.local: bool = local
        self._problem: dict[str, Any] | None = None

    @property
    def allowed(self) -> bool:
        return self.status == 200

    @property
    def problem(self) -> Mapping[str, Any]:
        """The problem detail (RFC 9457) of a refusal; empty when allowed."""
        if self._problem is None:
            try:
                found = json.loads(self.body) if self.body else {}
            except ValueError:
                found = {}
            self._problem = found if isinstance(found, dict) else {}
        return self._problem

    @property
    def code(self) -> str:
        """The problem code, "" when allowed. It never changes its meaning."""
        return str(self.problem.get("code", ""))

    @property
    def detail(self) -> str:
        """The refusal in a sentence that a person can be shown."""
        return str(self.problem.get("detail", ""))

    @property
    def window(self) -> str:
        """minute, hour or day when a rate limit refused, month when the quota did; "" otherwise."""
        return str(self.problem.get("window") or ("month" if self.code == "quota_exceeded" else ""))

    @property
    def limit(self) -> int | None:
        """Calls in the tightest window; None when nothing limits the call."""
        return _whole(self.header("x-ratelimit-limit"))

    @property
    def left(self) -> int | None:
        """Calls left in the tightest window after this one."""
        return _whole(self.header("x-ratelimit-remaining"))

    @property
    def used(self) -> int | None:
        """Calls used of `limit`: of the month when the quota refused, else of the tightest window."""
        if "used" in self.problem:
            return int(self.problem["used"])
        limit, left = self.limit, self.left
        return None if limit is None or left is None else limit - left

    @property
    def reset(self) -> int | None:
        """Epoch seconds at which more is free."""
        return _whole(self.header("x-ratelimit-reset"))

    @property
    def retry_after(self) -> int | None:
        """Seconds to wait before the call can fit; None when waiting does not help."""
        return _whole(self.header("retry-after"))

    @property
    def more_url(self) -> str:
        """Where to ask for a higher quota, when the quota refused."""
        return str(self.problem.get("request_increase_url", ""))

    def header(self, name: str) -> str:
        """The value of a header field, "" without it."""
        wanted = name.lower().encode()
        return next((value.decode("latin-1") for field, value in self.fields if field == wanted), "")

    def __repr__(self) -> str:
        return f"<Decision {self.status} {self.code or 'allowed'} tenant={self.tenant!r} left={self.left}>"


class Decider(Protocol):
    """Decides calls in blocking code. Threads share it."""

    def decide(self, authorization: str, *, cost: int = 1, route_class: str = "", traceparent: str = "") -> Decision:
        """`authorization` is the caller's header as it came. Raises DecisionUnavailableError; a refusal is a Decision."""

    def close(self) -> None: ...


class AsyncDecider(Protocol):
    """The same on one event loop."""

    async def decide(
        self, authorization: str, *, cost: int = 1, route_class: str = "", traceparent: str = ""
    ) -> Decision: ...

    async def close(self) -> None: ...


class DecidesAtOnce(Protocol):
    """An AsyncDecider that knows some decisions without asking anybody."""

    def at_once(self, authorization: bytes, cost: int, route_class: str) -> Decision | None:
        """The decision on a call that may go ahead, counted; None when `decide` must be asked. `authorization` as in `decide`."""


TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def bearer(key: str) -> str:
    """The Authorization header of a key's text."""
    return f"Bearer {key}"


def problem(status: int, code: str, title: str, detail: str, fields: Fields | None = None) -> Decision:
    """A refusal that this process says by itself."""
    body = {"type": PROBLEM_TYPE + code, "title": title, "status": status, "code": code, "detail": detail}
    return Decision(status, [*(fields or []), PROBLEM_JSON], json.dumps(body).encode(), local=True)


def unavailable() -> Decision:
    """The 503 of a gateway that cannot ask."""
    detail = "Limits cannot be checked right now. Try again shortly."
    return problem(503, UNAVAILABLE, "Enforcement unavailable", detail, [(b"retry-after", b"1")])


def _whole(text: str) -> int | None:
    return int(text) if text.isdigit() else None
