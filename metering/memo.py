"""Meters, prices and by which of them a tenant pays are asked for many times while one page is made. Inside `remembering()` each is read once.

Nothing outlives the block: what is read is as old as the page.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from .models import Meter

T = TypeVar("T")
_kept: ContextVar[dict[Hashable, Any] | None] = ContextVar("metering_memo", default=None)


@contextmanager
def remembering() -> Iterator[None]:
    """Keep what `once` reads until the block ends. Blocks may nest; the outermost one counts. For reading only."""
    if _kept.get() is not None:
        yield
        return
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def once(name: Hashable, read: Callable[[], T]) -> T:
    """`read()`, or what it gave before in this block."""
    kept = _kept.get()
    if kept is None:
        return read()
    if name not in kept:
        kept[name] = read()
    return kept[name]  # type: ignore[no-any-return]


def meters() -> dict[str, Meter]:
    """Every meter by key, in the order of the catalogue."""
    return once("meters", lambda: {meter.key: meter for meter in Meter.objects.all()})


def meter(key: str) -> Meter:
    """The meter of that key. Raises Meter.DoesNotExist."""
    found = meters().get(key)
    if found is None:
        raise Meter.DoesNotExist(f"There is no meter {key!r}.")
    return found
