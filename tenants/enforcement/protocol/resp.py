"""Commands as they go over the wire (RESP)."""

from __future__ import annotations

from typing import Any, cast

import hiredis

Words = tuple[str | bytes | int, ...]


def pack(words: Words) -> bytes:
    """The bytes of one command."""
    return cast(bytes, hiredis.pack_command(cast(Any, words)))
