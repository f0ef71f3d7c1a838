"""What statements written by hand have in common."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime


def ids(numbers: Iterable[int]) -> str:
    """Row ids as one parameter, for `= ANY(%s::bigint[])`: a list would be adapted number by number, in several times the time."""
    return f"{{{','.join(map(str, numbers))}}}"


def array(values: Iterable[int | datetime | None]) -> str:
    """Numbers or aware instants as one parameter, for `unnest(%s::numeric[])` or `unnest(%s::timestamptz[])`, for the same reason."""
    return f"{{{','.join('NULL' if value is None else str(value) for value in values)}}}"
