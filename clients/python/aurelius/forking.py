"""What a forked process must not share with its parent: sockets, a spool's files, locks that a thread held, threads that are not there."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forked(Protocol):
    """Something that begins anew in a child process."""

    def after_fork(self) -> None:
        """Called in the child, before anything else runs there: the only thread is this one."""


_known: weakref.WeakSet[Forked] = weakref.WeakSet()


def begins_anew_in_a_child(thing: Forked) -> None:
    """From now on `thing.after_fork()` is called in every process that is forked from this one, as long as it is in use."""
    _known.add(thing)


def _in_the_child() -> None:
    for thing in list(_known):
        thing.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_in_the_child)
