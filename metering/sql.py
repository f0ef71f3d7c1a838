"""What statements written by hand have in common."""

from __future__ import annotations

from collections.abc import Iterable


def ids(numbers: Iterable[int]) -> str:
    """Row ids as one parameter, for `= ANY(%s::bigint[])`: a list would be adapted number by number, in several times the time."""
    return f"{{{','.join(map(str, numbers))}}}"
