"""The size of a directory tree, as `du` sees it, in a walk that can stop at a deadline and go on later."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LOOK_AT_THE_CLOCK_EVERY = 2000
BLOCK = 512
"""Bytes of a block in st_blocks, whatever the file system's own block size."""
MOST_TO_REMEMBER = 50_000
"""A walk with more open directories and hard links than this is not put down on paper; it starts again."""


class Pace:
    """A quota of I/O: at most `per_second` entries are looked at in a second, so that a walk leaves the disk to those who work with it."""

    def __init__(
        self,
        per_second: int,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.per_second, self.sleep, self.monotonic = per_second, sleep, monotonic
        self._free_at = monotonic()

    def spent(self, entries: int, deadline: float) -> None:
        """Wait until the entries that were looked at are paid for, but not beyond the deadline."""
        now = self.monotonic()
        self._free_at = max(self._free_at, now) + entries / self.per_second
        wait = min(self._free_at, deadline) - now
        if wait > 0.01:  # shorter sleeps cost more than they spare
            self.sleep(wait)


@dataclass
class TreeWalk:
    """Counts a tree below `root`: symbolic links are not followed, other file systems not entered, a hard-linked file counts once.

    `allocated` is bytes on disk (what sparse files really take), `apparent` the sum of file lengths; both include directories, as
    `du --block-size=1` and `du --bytes` do. Files that vanish during the walk are not counted. What cannot be read raises OSError.
    """

    root: Path
    allocated: int = 0
    apparent: int = 0
    files: int = 0
    directories: int = 0
    pending: list[str] = field(default_factory=lambda: [""])
    links: set[tuple[int, int]] = field(default_factory=set)
    device: int | None = None
    pace: Pace | None = field(default=None, compare=False)

    def run(self, deadline: float) -> bool:
        """Walk until done (True) or until `time.monotonic()` reaches `deadline` (False: call again to go on)."""
        while self.pending:
            if time.monotonic() >= deadline:
                return False
            relative = self.pending.pop()
            if not self._visit(relative, deadline):
                self.pending.append(relative)
                return False
        return True

    def _visit(self, relative: str, deadline: float) -> bool:
        """Count one directory and its files; False, with nothing counted, when the deadline came first."""
        path = os.path.join(self.root, relative)
        try:
            # By descriptor: a directory that is swapped for a symbolic link meanwhile is not followed, and asking is cheaper.
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            if not relative:
                raise
            return True  # vanished since its parent was read
        except OSError as error:
            if error.errno == errno.ELOOP and relative:
                return True  # a symbolic link now
            raise
        try:
            return self._count(descriptor, relative, deadline)
        except OSError as error:
            raise OSError(error.errno, error.strerror, path) from error
        finally:
            os.close(descriptor)

    def _count(self, descriptor: int, relative: str, deadline: float) -> bool:
        own = os.fstat(descriptor)
        if self.device is None:
            self.device = own.st_dev
        if own.st_dev != self.device:
            return True
        blocks, apparent, files = own.st_blocks, own.st_size, 0
        below: list[str] = []
        links: set[tuple[int, int]] = set()
        with os.scandir(descriptor) as entries:
            for count, entry in enumerate(entries, 1):
                if count % LOOK_AT_THE_CLOCK_EVERY == 0 and time.monotonic() >= deadline:
                    return False
                if entry.is_dir(follow_symlinks=False):
                    below.append(os.path.join(relative, entry.name))
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if status.st_nlink > 1:
                    identity = (status.st_dev, status.st_ino)
                    if identity in self.links or identity in links:
                        continue
                    links.add(identity)
                blocks += status.st_blocks
                apparent += status.st_size
                files += 1
        self.allocated += blocks * BLOCK
        self.apparent += apparent
        self.files += files
        self.directories += 1
        self.links |= links
        self.pending.extend(below)
        if self.pace is not None:
            self.pace.spent(files + len(below) + 1, deadline)
        return True

    # ----------------------------------------------------------------------------------------------------- going on later

    def checkpoint(self) -> dict[str, Any] | None:
        """The state as JSON, or None when it is too large to keep. File names are bytes: they are kept as Latin-1 text."""
        if len(self.pending) + len(self.links) > MOST_TO_REMEMBER:
            return None
        return {
            "allocated": self.allocated, "apparent": self.apparent, "files": self.files, "directories": self.directories,
            "pending": [os.fsencode(name).decode("latin-1") for name in self.pending],
            "links": [list(link) for link in self.links], "device": self.device,
        }  # fmt: skip

    @classmethod
    def resume(cls, root: Path, state: Mapping[str, Any]) -> TreeWalk:
        """A walk that goes on where `checkpoint` was taken."""
        return cls(
            root, state["allocated"], state["apparent"], state["files"], state["directories"],
            [os.fsdecode(name.encode("latin-1")) for name in state["pending"]],
            {(device, inode) for device, inode in state["links"]}, state["device"],
        )  # fmt: skip
