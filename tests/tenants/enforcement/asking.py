"""Asking an ASGI application without a server."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


async def ask(
    app: Any, path: str = "/decide", *, key: bytes | None = None, method: str = "GET", query: str = "", **headers: str
) -> Answer:
    """One request; keyword headers are written with underscores."""
    fields = [(name.replace("_", "-").lower().encode(), value.encode()) for name, value in headers.items()]
    if key is not None:
        fields.append((b"authorization", b"Bearer " + key))
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": fields,
        "client": ("203.0.113.9", 1),
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start = sent[0]
    head = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], head, b"".join(message.get("body", b"") for message in sent[1:]))
