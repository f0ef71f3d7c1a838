"""Typed environment helpers: every setting comes from the environment, and every secret may come from a file.

`NAME_FILE=/run/secrets/name` wins over `NAME`; a file that cannot be read is an error at start, never an empty secret.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}


def text(name: str, default: str | None = None) -> str:
    """The value of NAME, or of the file that NAME_FILE names. Raises ImproperlyConfigured when unset and no default."""
    path = os.environ.get(f"{name}_FILE")
    if path:
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ImproperlyConfigured(
                f"{name}_FILE names {path}, which cannot be read ({error.strerror}). Make the file readable or unset {name}_FILE."
            ) from error
    value = os.environ.get(name)
    if value is None:
        if default is None:
            raise ImproperlyConfigured(f"Set the environment variable {name} (or {name}_FILE). See .env.example.")
        return default
    return value


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
    raise ImproperlyConfigured(f"{name}={value!r} is neither true nor false. Use 1 or 0.")


def integer(name: str, default: int, *, minimum: int | None = None, maximum: int | None = None) -> int:
    """An int within [minimum, maximum]. Raises ImproperlyConfigured otherwise."""
    raw = os.environ.get(name)
    if raw is None:
        return default
    try:
        value = int(raw)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}={raw!r} is not a whole number.") from error
    if (minimum is not None and value < minimum) or (maximum is not None and value > maximum):
        raise ImproperlyConfigured(f"{name}={value} is outside {minimum}…{maximum}.")
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
        raise ImproperlyConfigured(f"{name} is not valid JSON: {error}.") from error
