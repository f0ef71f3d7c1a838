"""Decisions as raw ASGI answers: header fields and bodies in bytes. Shared by the decision endpoint and the ASGI middleware."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from ...decisions import Decision, header_values, headers, http_status, problem
from ..protocol.granted import NAMES, Fields, Granted

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
PROBLEM_JSON = (b"content-type", b"application/problem+json")


def fields_of(decision: Decision) -> Fields:
    """The limit's header fields."""
    if isinstance(decision, Granted):
        return decision.header_fields()
    if not decision.code:
        return [(name, value.encode()) for name, value in zip(NAMES, header_values(decision), strict=False)]
    return [(name.lower().encode(), value.encode()) for name, value in headers(decision)]


def refusal(decision: Decision, increase_url: str) -> tuple[int, Fields, bytes]:
    """Status, header fields and problem+json body of a refusal."""
    body = json.dumps(problem(decision, increase_url)).encode()
    return http_status(decision), [*fields_of(decision), PROBLEM_JSON], body


async def answer(send: Send, status: int, fields: Iterable[tuple[bytes, bytes]], body: bytes = b"") -> None:
    """Send a whole answer."""
    all_fields = [*fields, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": all_fields})
    await send({"type": "http.response.body", "body": body})


def bearer(authorization: bytes) -> bytes:
    """The key text in an Authorization header, b"" when it is of another scheme."""
    if authorization[:7] == b"Bearer ":  # as nearly everybody writes it
        return authorization[7:].strip()
    scheme, _, text = authorization.partition(b" ")
    return text.strip() if scheme.lower() == b"bearer" else b""
