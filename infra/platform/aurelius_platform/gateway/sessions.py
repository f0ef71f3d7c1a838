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
from ..web import AGAIN_SECONDS, OPEN, PROBLEM, away, told

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]
LOGIN = "/login"
ACCOUNT = "platform.account"
FAILURES, FAILURE_SECONDS = 5, 60.0
MOST_NAMES = 10_000
CHECKS_AT_ONCE, MOST_WAITING = 2, 50


class Sessions:
    """ASGI middleware. A request without a valid token ends here with 401; the others go on as their account, with its key."""

    def __init__(self, app: App, *, accounts: Accounts, tokens: Tokens) -> None:
        self.app, self._accounts, self._tokens = app, accounts, tokens

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN or scope["path"] == LOGIN:
            await self.app(scope, receive, send)
            return
        token = _token(scope)
        username = self._tokens.username(token) if token else None
        account = self._accounts.get(username) if username else None
        if account is None:
            await _unauthorized(send, over=bool(token) and self._tokens.over(token))
            return
        kept = [(name, value) for name, value in scope["headers"] if name not in (b"authorization", b"traceparent")]
        carrier: dict[str, str] = {}
        propagate.inject(carrier)  # the decision's span belongs below ours
        trace = [(name.encode(), value.encode()) for name, value in carrier.items() if name == "traceparent"]
        key = (b"authorization", f"Bearer {account.api_key}".encode())
        scope["headers"], scope[ACCOUNT] = [*kept, key, *trace], account
        await self.app(scope, receive, send)


def _token(scope: Scope) -> str:
    """The bearer of a request; "" without one, or with several."""
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    scheme, _, token = given[0].decode("latin-1").partition(" ") if len(given) == 1 else ("", "", "")
    return token.strip() if scheme.lower() == "bearer" else ""


async def _unauthorized(send: Any, *, over: bool) -> None:
    how = "POST /login with username and password, then send Authorization: Bearer <token>."
    code, detail = (
        ("token_expired", f"The token is over. Log in again: {how}") if over else ("not_logged_in", f"Log in: {how}")
    )
    body = json.dumps(told(401, code=code, detail=detail)).encode()
    challenge = b'Bearer error="invalid_token"' if over else b"Bearer"
    headers = [
        (b"content-type", PROBLEM.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"www-authenticate", challenge),
    ]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": body})


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


class Desk:
    """Checks passwords, a few at a time: each costs a core 20 ms, and anybody may have them checked."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts, self._turn, self._there = accounts, asyncio.Semaphore(CHECKS_AT_ONCE), 0

    async def check(self, username: str, password: str) -> Account | None:
        """As Accounts.check. Raises 503 when too many wait already."""
        if self._there >= MOST_WAITING:
            raise away(503, "too_many_at_once", f"Too many log in at once: try again in {AGAIN_SECONDS} seconds.")
        self._there += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(self._accounts.check, username, password)
        finally:
            self._there -= 1
