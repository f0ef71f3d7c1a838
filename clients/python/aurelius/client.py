"""The portal's API over HTTP: one call a method, problems as exceptions, writes that can be repeated."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any

from .retrying import backoff, retry_after
from .tracing import traceparent

URL_VARIABLE = "AURELIUS_URL"
KEY_VARIABLE = "AURELIUS_API_KEY"
API = "/api/v1/"
USER_AGENT = "aurelius-python/0.3.0"
ATTEMPTS = 4
AGAIN = frozenset({502, 503, 504})
LONGEST_WAIT = 60.0
"""Seconds that a full rate limit is waited for, at most; the answer says how long it takes."""
REFUSALS = frozenset(
    {"quota_exceeded", "reservation_cap_exceeded", "budget_exhausted", "reservations_blocked", "tenant_suspended"}
)


class Problem(Exception):
    """The portal said no. `code` never changes its meaning; `body` is the whole problem detail (RFC 9457)."""

    def __init__(self, status: int, body: Mapping[str, Any], wait: float = 0.0) -> None:
        self.status: int = status
        self.retry_after: float = wait
        """Seconds that the portal asks to wait; 0.0 when it says nothing."""
        self.body: dict[str, Any] = dict(body)
        self.code: str = str(body.get("code", ""))
        self.detail: str = str(body.get("detail") or body.get("title") or f"HTTP {status}")
        super().__init__(self.detail)


class Refused(Problem):
    """A quota, cap, budget or block does not let it through. `more_url` is where to ask for more, if there is such a place."""

    @property
    def more_url(self) -> str:
        return str(self.body.get("request_increase_url", ""))


class Unavailable(Exception):
    """The portal could not be asked, however often it was tried. `retry_after` is what it asked to wait for, in seconds."""

    def __init__(self, text: str, wait: float = 0.0) -> None:
        super().__init__(text)
        self.retry_after: float = wait


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The key goes to the portal and nowhere else."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class Client:
    """A connection to one portal with one tenant's key. Threads may share it."""

    def __init__(self, url: str = "", key: str = "", *, timeout: float = 10.0, attempts: int = ATTEMPTS) -> None:
        """Without arguments AURELIUS_URL and AURELIUS_API_KEY (or AURELIUS_API_KEY_FILE) say where and who. Raises ValueError.

        The file is read again when the portal refuses the key: a key that was rotated there needs no restart.
        """
        self.url: str = (url or os.environ.get(URL_VARIABLE, "")).rstrip("/")
        if urllib.parse.urlsplit(self.url).scheme not in ("http", "https"):
            raise ValueError(f"Set {URL_VARIABLE} to the portal's address, such as https://portal.example.org.")
        self._file = "" if key else os.environ.get(f"{KEY_VARIABLE}_FILE", "")
        self._key = _key(key or _text_of(self._file) or os.environ.get(KEY_VARIABLE, ""))
        self.timeout: float = timeout
        self.attempts: int = max(1, attempts)
        self._opener = urllib.request.build_opener(_NoRedirects)

    def derived(self, *, key: str = "", attempts: int = 0) -> Client:
        """A client of the same portal with another key or another number of tries."""
        found = Client(self.url, key or self._key, timeout=self.timeout, attempts=attempts or self.attempts)
        found._file = "" if key else self._file
        return found

    def get(self, path: str) -> Any:
        """The answer to GET /api/v1/<path>. A list's `next` may be given as it is."""
        return self.send("GET", path)

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, idempotency_key: str = "") -> Any:
        """The answer to POST /api/v1/<path>. It can be tried again safely: every try carries the same Idempotency-Key."""
        return self.send("POST", path, body, idempotency_key=idempotency_key or str(uuid.uuid4()))

    def send(self, method: str, path: str, body: Any = None, *, idempotency_key: str = "") -> Any:
        """The JSON of an answer. Raises Refused, Problem, or Unavailable after the last of `attempts` tries.

        Between tries it waits for a random, doubling time, and at least for what Retry-After said.
        """
        path = _below_the_api(path)
        last: Exception | None = None
        wait = 0.0
        renewed = False
        for attempt in range(self.attempts):
            if attempt:
                time.sleep(backoff(attempt, wait))
            wait = 0.0
            try:
                try:
                    return self._once(method, path, body, idempotency_key)
                except Problem as problem:
                    if problem.status != 401 or renewed or not self._renew():
                        raise
                    renewed = True
                return self._once(method, path, body, idempotency_key)
            except Problem as problem:
                wait = problem.retry_after
                full = problem.code == "rate_limit_exceeded"
                if wait > LONGEST_WAIT or not (
                    full or problem.status in AGAIN or problem.code == "idempotency_in_progress"
                ):
                    raise
                last = problem
            except (OSError, HTTPException, ValueError) as error:
                last = error
        raise Unavailable(f"{method} {self.url}{API}{path}: {last}", wait) from last

    def _renew(self) -> bool:
        """Whether the key's file has another key by now."""
        try:
            found = _key(_text_of(self._file))
        except (OSError, ValueError):
            return False
        changed, self._key = found != self._key, found
        return changed

    def _once(self, method: str, path: str, body: Any, idempotency_key: str) -> Any:
        headers = {
            "Authorization": f"Bearer {self._key}",
            "Accept": "application/json",
            "User-Agent": USER_AGENT,
        }
        if trace := traceparent():
            headers["traceparent"] = trace
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        elif method == "POST":
            data = b""
        request = urllib.request.Request(  # noqa: S310  (http or https: the constructor has looked)
            f"{self.url}{API}{path}", data, headers, method=method
        )
        try:
            with self._opener.open(request, timeout=self.timeout) as response:
                text = response.read()
        except urllib.error.HTTPError as error:
            with error:
                raise _problem(
                    error.code, error.read(), retry_after(error.headers.get("Retry-After"), time.time())
                ) from None
        return json.loads(text) if text else None


def _problem(status: int, text: bytes, wait: float) -> Problem:
    try:
        body = json.loads(text)
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    told = body.get("retry_after")
    wait = max(wait, float(told) if isinstance(told, (int, float)) else 0.0)
    return (Refused if body.get("code") in REFUSALS else Problem)(status, body, wait)


def _text_of(file: str) -> str:
    return Path(file).read_text() if file else ""


def _key(text: str) -> str:
    """A key as a header can carry it. Raises ValueError, which does not say the text: a damaged key is mostly a right one."""
    key = text.strip()  # files and secrets end with a newline
    if not key:
        raise ValueError(f"Set {KEY_VARIABLE} (or {KEY_VARIABLE}_FILE) to an API key of the tenant.")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("That is no API key: it has a space or another character that no key has.")
    return key


def _below_the_api(path: str) -> str:
    """The path below /api/v1/, whether it was given alone, from the root, or as the URL that an answer says. Raises ValueError."""
    if not path.isascii() or not path.isprintable() or " " in path:
        raise ValueError(f"{path!r} is no path: quote what is not plain ASCII (urllib.parse.quote).")
    parts = urllib.parse.urlsplit(path)
    if parts.scheme or parts.netloc:  # the host is this client's all the same: the key goes nowhere else
        path = parts.path + (f"?{parts.query}" if parts.query else "")
    return path[len(API) :] if path.startswith(API) else path.lstrip("/")
