"""Turns a session token into the tenant's API key, before the limits are decided: people log in here, the portal knows keys."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from opentelemetry import propagate

from ..accounts import Account, Accounts, Tokens
from ..web import OPEN

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]
LOGIN = "/login"
ACCOUNT = "platform.account"
FAILURES, FAILURE_SECONDS = 5, 60.0
MOST_NAMES = 10_000


class Sessions:
    """ASGI middleware. A request without a valid token ends here with 401; the others go on as their account, with its key."""

    def __init__(self, app: App, *, accounts: Accounts, tokens: Tokens) -> None:
        self.app, self._accounts, self._tokens = app, accounts, tokens

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN or scope["path"] == LOGIN:
            await self.app(scope, receive, send)
            return
        account = self._account(scope)
        if account is None:
            await _unauthorized(send)
            return
        kept = [(name, value) for name, value in scope["headers"] if name not in (b"authorization", b"traceparent")]
        carrier: dict[str, str] = {}
        propagate.inject(carrier)  # the decision's span belongs below ours
        trace = [(name.encode(), value.encode()) for name, value in carrier.items() if name == "traceparent"]
        key = (b"authorization", f"Bearer {account.api_key}".encode())
        scope["headers"], scope[ACCOUNT] = [*kept, key, *trace], account
        await self.app(scope, receive, send)

    def _account(self, scope: Scope) -> Account | None:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        scheme, _, token = given[0].decode("latin-1").partition(" ") if len(given) == 1 else ("", "", "")
        username = self._tokens.username(token.strip()) if scheme.lower() == "bearer" else None
        return self._accounts.get(username) if username else None


async def _unauthorized(send: Any) -> None:
    detail = "Log in: POST /login with username and password, then send Authorization: Bearer <token>."
    body = json.dumps(
        {"type": "about:blank", "status": 401, "code": "not_logged_in", "title": detail, "detail": detail}
    )
    headers = [(b"content-type", b"application/problem+json"), (b"www-authenticate", b"Bearer")]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})


class Doorkeeper:
    """Lets nobody try passwords without end: after FAILURES wrong ones in FAILURE_SECONDS a name has to wait."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, deque[float]] = {}
        self._turns: dict[str, tuple[asyncio.Lock, list[None]]] = {}
        """Of the names that are being tried now: whose turn it is, and how many there are."""

    @asynccontextmanager
    async def turn(self, username: str) -> AsyncIterator[None]:
        """One try of a name at a time: of many that come together, those after the last failure that is allowed have to wait too."""
        lock, trying = self._turns.setdefault(username, (asyncio.Lock(), []))
        trying.append(None)
        try:
            async with lock:
                yield
        finally:
            trying.pop()
            if not trying:
                del self._turns[username]

    def wait(self, username: str) -> float:
        """Seconds until the name may try again; 0 when it may now."""
        failures = self._failures.get(username)
        if failures is None or len(failures) < FAILURES:
            return 0.0
        return max(0.0, failures[0] + FAILURE_SECONDS - self._clock())

    def failed(self, username: str) -> None:
        if len(self._failures) >= MOST_NAMES:
            self._failures.pop(next(iter(self._failures)))
        self._failures.setdefault(username, deque(maxlen=FAILURES)).append(self._clock())

    def succeeded(self, username: str) -> None:
        self._failures.pop(username, None)
