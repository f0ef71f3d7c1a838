"""Typed environment helpers: every setting comes from the environment, and every secret may come from a file.

`NAME_FILE=/run/secrets/name` wins over `NAME`; a file that cannot be read is an error at start, never an empty secret.

Between `collect()` and `finish()` a wrong value does not raise at once: all of them are told together, so that nobody mends them one
start at a time.
"""

from __future__ import annotations

import json
import os
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

Value = TypeVar("Value")
_collected: list[str] | None = None


def collect() -> None:
    """From now on wrong values are remembered instead of raised."""
    global _collected
    _collected = []


def finish() -> None:
    """Raise ImproperlyConfigured with everything that was wrong since `collect()`."""
    global _collected
    found, _collected = _collected or [], None
    if found:
        raise ImproperlyConfigured("\n".join(["portal.E000: settings that cannot be used:", *found]))


def _wrong(problem: str, instead: Value) -> Value:
    if _collected is None:
        raise ImproperlyConfigured(problem)
    _collected.append(f"  - {problem}")
    return instead


_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}


def text(name: str, default: str | None = None) -> str:
    """The value of NAME, or of the file that NAME_FILE names. Raises ImproperlyConfigured when unset and no default."""
    path = os.environ.get(f"{name}_FILE")
    if path:
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            return _wrong(
                f"{name}_FILE names {path}, which cannot be read ({error.strerror}). Make the file readable or unset {name}_FILE.",
                default or "",
            )
    value = os.environ.get(name)
    if default is None and not value:
        return _wrong(f"Set the environment variable {name} (or {name}_FILE). See .env.example.", "")
    return default or "" if value is None else value


def choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    """One of `allowed`."""
    value = text(name, default)
    return value if value in allowed else _wrong(f"{name}={value!r}: use {', '.join(allowed)}.", default)


def database(name: str) -> dict[str, Any]:
    """Django's settings of a PostgreSQL address."""
    url = text(name)
    if url and urlsplit(url).scheme not in {"postgres", "postgresql"}:
        url = _wrong(f"{name} is not a PostgreSQL address: set it to postgres://user:password@host:5432/name.", "")
    return dict(environ.Env.db_url_config(url)) if url else {}


def mail_server(name: str, default: str) -> dict[str, Any]:
    """django-environ's settings of a mail server's address."""
    url = text(name, default)
    try:
        return dict(environ.Env.email_url_config(url))
    except (ImproperlyConfigured, KeyError, ValueError):
        wrong = (
            f"{name} is not a mail server's address: set it to smtp+tls://user:password@host:587 (or smtp+ssl://…:465)."
        )
        return _wrong(wrong, dict(environ.Env.email_url_config(default)))


def boolean(name: str, default: bool = False) -> bool:
    """True for 1/true/yes/on, False for 0/false/no/off. Anything else raises ImproperlyConfigured."""
    value = os.environ.get(name)
    if value is None:
        return default
    lowered = value.strip().lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    return _wrong(f"{name}={value!r} is neither true nor false. Use 1 or 0.", default)


def integer(name: str, default: int, *, minimum: int | None = None, maximum: int | None = None) -> int:
    """An int within [minimum, maximum]. Raises ImproperlyConfigured otherwise."""
    raw = os.environ.get(name)
    if raw is None:
        return default
    try:
        value = int(raw)
    except ValueError:
        return _wrong(f"{name}={raw!r} is not a whole number.", default)
    if minimum is not None and value < minimum:
        return _wrong(f"{name}={value}: the least is {minimum}.", default)
    if maximum is not None and value > maximum:
        return _wrong(f"{name}={value}: the most is {maximum}.", default)
    return value


def number(
    name: str, default: Value, *, minimum: Decimal = Decimal(0), maximum: Decimal | None = None
) -> Decimal | Value:
    """A decimal number within [minimum, maximum]; the default when it is unset or empty. Raises ImproperlyConfigured otherwise."""
    raw = os.environ.get(name, "").strip()
    if not raw:
        return default
    try:
        value = Decimal(raw)
    except InvalidOperation:
        return _wrong(f"{name}={raw!r} is not a number.", default)
    if not value.is_finite() or value < minimum or (maximum is not None and value > maximum):
        return _wrong(f"{name}={raw}: it lies between {minimum} and {maximum}.", default)
    return value


def items(name: str, default: str = "") -> list[str]:
    """A comma-separated list without empty entries."""
    return [part.strip() for part in os.environ.get(name, default).split(",") if part.strip()]


def structured(name: str, default: Any) -> Any:
    """A JSON value, also from a file. Raises ImproperlyConfigured when it does not parse."""
    raw = text(name, "")
    if not raw.strip():
        return default
    try:
        return json.loads(raw)
    except ValueError as error:
        return _wrong(f"{name} is not valid JSON: {error}.", default)
