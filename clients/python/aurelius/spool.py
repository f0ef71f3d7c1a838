"""Usage events on disk until the portal has them: append-only files that survive crashes, outages and torn writes.

A spool is a folder with one writer. Each event is one line, `<crc32> <json>`, written with one system call: what `append` returned from
survives the process. `sync=True` makes it survive a power cut too, at a disk's price for each event. Files are deleted once delivered.
When the spool, or its disk, is full, new events are refused with SpoolFullError; what is there already is never dropped to make room.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import logging
import os
import threading
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from .forking import begins_anew_in_a_child

try:
    import fcntl
except ImportError:  # Windows has no flock: there the caller sees to it that there is one writer
    fcntl = None  # type: ignore[assignment]

MEBIBYTE = 1024 * 1024
MAX_BYTES = 64 * MEBIBYTE
SEGMENT = 4 * MEBIBYTE
MAX_RECORD = 256 * 1024
MOST_WRITERS = 1_000
AT_ONCE = 500
POSITION = "position"
OPEN, LENT, CLOSED = "open", "lent", "closed"
"""What a spool is: this process's, its parent's (in a forked child, before the first event), nobody's."""


FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

log: logging.Logger = logging.getLogger("aurelius")
Record = Any
"""A JSON value."""


class SpoolFullError(Exception):
    """There is no room for another event. It was not taken."""


class SpoolBusyError(Exception):
    """Another process writes to that folder."""


class Queue(Protocol):
    """Where events wait. Threads share it."""

    def append(self, record: Record, *, force: bool = False) -> None:
        """Keep the record as it is now. Raises SpoolFullError unless `force`, ValueError for one that JSON cannot say."""

    def head(self, most: int) -> list[Record]:
        """The oldest records, which stay until `done`."""

    def done(self, count: int) -> None:
        """The oldest `count` of what `head` last said are dealt with."""

    def __len__(self) -> int: ...

    def close(self) -> None: ...


class MemoryQueue:
    """Events in memory: a crash loses them. At most `most`."""

    def __init__(self, most: int = 100_000) -> None:
        self.most: int = most
        self._records: deque[bytes] = deque()
        self._lock = threading.Lock()

    def append(self, record: Record, *, force: bool = False) -> None:
        written = _written(record)
        with self._lock:
            if len(self._records) >= self.most and not force:
                raise SpoolFullError(f"{self.most} events wait already")
            self._records.append(written)

    def head(self, most: int) -> list[Record]:
        with self._lock:
            written = [self._records[index] for index in range(min(most, len(self._records)))]
        return [json.loads(each) for each in written]

    def done(self, count: int) -> None:
        with self._lock:
            for _ in range(count):
                self._records.popleft()

    def __len__(self) -> int:
        return len(self._records)

    def close(self) -> None:
        return None


class Spool:
    """Events in files of a folder. See the module."""

    def __init__(
        self, folder: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES, segment: int = SEGMENT, sync: bool = False
    ) -> None:
        """Open the folder, make it if need be, and find what an earlier process left. Raises SpoolBusyError or OSError."""
        self.max_bytes: int = max_bytes
        self.damaged: int = 0
        """Lines that were found torn, changed or gone, and skipped."""
        self._segment, self._sync = segment, sync
        self._below: Path | None = None
        self._files: list[int] = []
        self._lock = threading.RLock()
        self._open(Path(folder))
        begins_anew_in_a_child(self)

    def _open(self, folder: Path) -> None:
        self.folder: Path = folder
        self._forget()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._guard = self._alone()
        self._state = OPEN
        self._files = sorted(int(path.stem) for path in self.folder.glob("*.log") if path.stem.isdigit())
        self._position = Position(self.folder / POSITION)
        start = self._position.read()
        with contextlib.suppress(OSError):
            self._position.write(*start)  # takes its place on the disk before events take it all
        for number in list(self._files):
            if number < start[0]:
                self._remove(number)
            else:
                self._find(number, start[1] if number == start[0] else 0)
        self._last = max([*self._files, start[0]])  # what an earlier process wrote is never appended to

    def _forget(self) -> None:
        self._waiting: deque[tuple[int, int, int]] = deque()  # (file, end offset, bytes) of every record not yet done
        self._bytes = 0
        self._files = []
        self._descriptor = self._guard = -1
        self._written = 0

    @classmethod
    def free(
        cls, folder: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES, segment: int = SEGMENT, sync: bool = False
    ) -> Spool:
        """The first spool below `folder` (0, 1, 2 …) that no other process has: for servers with several workers.

        It takes over what workers left that are no more, however many there were: a server may start again with fewer. A forked child takes one
        of its own with its first event.
        """
        for number in range(MOST_WRITERS):
            with contextlib.suppress(SpoolBusyError):
                mine = cls(Path(folder) / str(number), max_bytes=max_bytes, segment=segment, sync=sync)
                mine._below = Path(folder)
                mine._take_over(path for path in Path(folder).iterdir() if path.name.isdigit() and path != mine.folder)
                return mine
        raise SpoolBusyError(f"{folder}: {MOST_WRITERS} writers")

    def after_fork(self) -> None:
        """In a child: the folder and what waits in it are its parent's."""
        self._lock = threading.RLock()
        if self._state == OPEN:
            self._state = LENT
            for descriptor in (self._descriptor, self._guard, self._position.descriptor):
                if descriptor >= 0:
                    os.close(descriptor)  # and not unlocked: the lock is the parent's
            self._forget()

    def _take_one(self) -> None:
        """A folder of this child's own. Raises SpoolBusyError."""
        if self._below is None:
            raise SpoolBusyError(
                f"{self.folder} is written by the process that this one was forked from. Open it after the fork, or use Spool.free."
            )
        for number in range(MOST_WRITERS):
            with contextlib.suppress(SpoolBusyError):
                self._open(self._below / str(number))
                return
        raise SpoolBusyError(f"{self._below}: {MOST_WRITERS} writers")

    def append(self, record: Record, *, force: bool = False) -> None:
        """See Queue. A disk without room is full, too. Raises ValueError also for a record that is too large, OSError when the disk fails,
        SpoolBusyError in a child whose parent has the folder, RuntimeError after `close`.
        """
        payload = _written(record)
        line = b"%s %s\n" % (_checksum(payload), payload)
        if len(line) > MAX_RECORD:
            raise ValueError(f"an event of {len(line)} bytes: at most {MAX_RECORD}")
        with self._lock:
            if self._state == CLOSED:
                raise RuntimeError(f"{self.folder} is closed.")
            if self._state == LENT:
                self._take_one()
            if self._bytes + len(line) > self.max_bytes and not force:
                raise SpoolFullError(f"{self.folder} holds {self._bytes} bytes of at most {self.max_bytes}")
            try:
                if self._descriptor < 0 or self._written >= self._segment:
                    self._begin()
                written = os.write(self._descriptor, line)
            except OSError as error:
                if error.errno not in FULL:
                    raise
                raise SpoolFullError(f"{self.folder}: {error.strerror}") from error
            if written != len(line):
                os.ftruncate(self._descriptor, self._written)
                raise SpoolFullError(f"{self.folder}: the disk has room for {written} bytes of {len(line)}")
            self._written += written
            if self._sync:
                os.fsync(self._descriptor)
            self._waiting.append((self._last, self._written, len(line)))
            self._bytes += len(line)

    def head(self, most: int) -> list[Record]:
        """See Queue."""
        while True:
            with self._lock:
                wanted = [self._waiting[index] for index in range(min(most, len(self._waiting)))]
            lines = list(self._lines(wanted))
            lost = [entry for entry, line in zip(wanted, lines) if not _is_whole(line)]
            if not lost:
                return [json.loads(line[9:]) for line in lines]
            with self._lock:  # changed under our hands: what is behind it goes on
                for entry in lost:
                    self._waiting.remove(entry)
                    self._bytes -= entry[2]
                self.damaged += len(lost)
            log.error("%s: %s events are damaged or gone", self.folder, len(lost))

    def _lines(self, wanted: list[tuple[int, int, int]]) -> Iterator[bytes]:
        for number, group in itertools.groupby(wanted, key=lambda entry: entry[0]):
            entries = list(group)
            try:
                with self._path(number).open("rb") as handle:
                    for _, end, size in entries:
                        handle.seek(end - size)
                        yield handle.read(size)
            except FileNotFoundError:
                yield from (b"" for _ in entries)

    def done(self, count: int) -> None:
        """See Queue. What comes before is forgotten also after a crash; a crash just before sends it once more, which counts once."""
        with self._lock:
            number = end = 0
            for _ in range(count):
                number, end, size = self._waiting.popleft()
                self._bytes -= size
            if not number:
                return
            if not self._waiting:
                self._end()  # all is delivered: the file need not stay
                number, end = self._last + 1, 0
            try:
                self._position.write(number, end)
            except OSError as error:  # after a crash they go out once more, and count once
                log.warning("%s: the position cannot be kept: %s", self.folder, error)
            for old in [each for each in self._files if each < number]:
                self._remove(old)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def bytes(self) -> int:
        """What waits."""
        return self._bytes

    def close(self) -> None:
        """Let another process have the folder. What waits stays there."""
        with self._lock:
            self._end()
            if self._state == OPEN:
                self._position.close()
                os.close(self._guard)
            self._state = CLOSED

    def _take_over(self, folders: Iterable[Path]) -> None:
        """Move here what waits in those of the folders that nobody has. A crash in between leaves it in both: sent twice counts once."""
        for folder in sorted(folders):
            try:
                left = Spool(folder)
            except (SpoolBusyError, OSError):
                continue
            try:
                while records := left.head(AT_ONCE):
                    for record in records:
                        self.append(record, force=True)
                    left.done(len(records))
            except SpoolFullError as error:  # the disk is full: it stays where it is, for another start
                log.warning("what waits in %s is not taken over: %s", folder, error)
            finally:
                left.close()

    # -------------------------------------------------------------------------------------------------------- files

    def _alone(self) -> int:
        guard = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        if fcntl is not None:
            try:
                fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(guard)
                raise SpoolBusyError(f"{self.folder} has a writer already") from None
        return guard

    def _find(self, number: int, offset: int) -> None:
        """Index the whole lines of a file from `offset` on."""
        with self._path(number).open("rb") as handle:
            handle.seek(offset)
            end = offset
            for line in handle:
                end += len(line)
                if _is_whole(line):
                    self._waiting.append((number, end, len(line)))
                    self._bytes += len(line)
                else:
                    self.damaged += 1
                    log.warning("%s: a damaged line at %s is skipped", handle.name, end - len(line))

    def _begin(self) -> None:
        self._end()
        self._last += 1
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._descriptor = os.open(self._path(self._last), flags, 0o600)
        if self._sync and fcntl is not None:
            self._sync_folder()
        self._written = 0
        self._files.append(self._last)

    def _sync_folder(self) -> None:
        """After a power cut a file is there only if its name has reached the disk, too."""
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _end(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _remove(self, number: int) -> None:
        self._path(number).unlink(missing_ok=True)
        self._files.remove(number)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:012d}.log"


class Position:
    """Before which (file, offset) all is delivered. Written over in place, which needs no room on the disk, and with a checksum.

    When it cannot be read it is the start: what is sent twice counts once.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.descriptor: int = -1

    def read(self) -> tuple[int, int]:
        try:
            number, offset, checksum = self._path.read_text().split()
            if checksum == _checksum(f"{number} {offset}".encode()).decode():
                return int(number), int(offset)
        except (OSError, ValueError):
            pass
        return 0, 0

    def write(self, number: int, offset: int) -> None:
        """Raises OSError."""
        text = f"{number:012d} {offset:012d}".encode()
        line = b"%s %s\n" % (text, _checksum(text))
        if self.descriptor < 0:
            self.descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            os.ftruncate(self.descriptor, min(len(line), os.fstat(self.descriptor).st_size))
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        os.write(self.descriptor, line)

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def _checksum(text: bytes) -> bytes:
    return b"%08x" % zlib.crc32(text)


def _written(record: Record) -> bytes:
    try:
        return json.dumps(record, separators=(",", ":"), ensure_ascii=True).encode()
    except TypeError as error:
        raise ValueError(f"an event that JSON cannot say: {error}") from None


def _is_whole(line: bytes) -> bool:
    checksum, _, payload = line.rstrip(b"\n").partition(b" ")
    return line.endswith(b"\n") and checksum == _checksum(payload)
