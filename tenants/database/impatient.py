"""A connection that gives up on a server which takes what is sent and never answers: a frozen machine, a dead disk, a lost network.

The server's own time limits do not help there, and a kernel that still acknowledges hides it from TCP. Knows no Django: settings name it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import psycopg

ANSWER_SECONDS = 2.0
"""For a statement that takes no time: the check of a connection from the pool, the question how far a replica is behind."""

_patience: ContextVar[float] = ContextVar("patience", default=ANSWER_SECONDS)


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Within, an answer may take so many seconds."""
    token = _patience.set(seconds)
    try:
        yield
    finally:
        _patience.reset(token)


class ImpatientConnection(psycopg.Connection[Any]):
    """Raises OperationalError, and is closed, when an answer takes longer than `patience`."""

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """As psycopg's, with an end."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        seconds = _patience.get()
        try:
            return super().wait(gen, interval, seconds)
        except psycopg.errors._WaitTimeout as error:
            self.pgconn.finish()
            raise psycopg.OperationalError(f"the server did not answer within {seconds:g} seconds") from error
