"""When to try again: exponential backoff with full jitter, and never before the server's Retry-After."""

from __future__ import annotations

import random
from email.utils import parsedate_to_datetime

FIRST_WAIT = 0.25
LONGEST_BACKOFF = 30.0


def backoff(attempt: int, least: float = 0.0, *, first: float = FIRST_WAIT, longest: float = LONGEST_BACKOFF) -> float:
    """Seconds before try number `attempt` (1 is the first repetition): a random part of a doubling span, on top of `least`.

    Clients that failed together do not come back together. `least` is what Retry-After said.
    """
    span = min(longest, first * 2 ** min(attempt - 1, 16))
    return least + random.uniform(span / 2, span)  # noqa: S311 - jitter is no secret


def retry_after(field: str | None, now: float) -> float:
    """The seconds that a Retry-After field asks for, 0.0 without one; `now` is epoch seconds. Both forms of RFC 9110 are read."""
    text = (field or "").strip()
    if text.isdigit():
        return float(text)
    if text:
        try:
            return max(0.0, parsedate_to_datetime(text).timestamp() - now)
        except (TypeError, ValueError):
            return 0.0
    return 0.0
