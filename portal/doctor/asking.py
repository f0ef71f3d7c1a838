"""GET and JSON with a deadline, from addresses that operators configured. `user:password@` in an address is sent as Basic."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

SECONDS = 5.0


class Unanswered(Exception):
    """Nobody answered, or not what was asked for; the message says what happened, and never shows a password."""


def get(base: str, path: str, parameters: dict[str, str] | None = None, seconds: float = SECONDS) -> Any:
    """The JSON at `base` + `path`. Raises Unanswered."""
    parts = urllib.parse.urlsplit(base)
    if parts.scheme not in {"http", "https"}:
        raise Unanswered(f"{shown(base)} is no http address")
    host = parts.netloc.rpartition("@")[2]
    url = urllib.parse.urlunsplit((parts.scheme, host, parts.path.rstrip("/") + path, "", ""))
    if parameters:
        url += "?" + urllib.parse.urlencode(parameters)
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - http(s) only, see above
    if parts.username:
        login = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:  # noqa: S310  # nosec B310
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        detail = error.read(300).decode("utf-8", "replace").strip().splitlines()
        raise Unanswered(f"{shown(base)} answers {error.code}{': ' + detail[0] if detail else ''}") from error
    except ValueError as error:
        raise Unanswered(f"{shown(base)} answers no JSON: is the address right, its path included?") from error
    except OSError as error:
        raise Unanswered(f"{shown(base)} cannot be reached: {getattr(error, 'reason', error)}") from error


def shown(base: str) -> str:
    """An address without its password."""
    parts = urllib.parse.urlsplit(base)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
