"""The buffer of one collector on a node's disk: reports that wait to be sent, and what the collector must remember.

A run is written as one file: its report, and the memory for the next run. So either both are there or neither, whenever the process is
killed. The file has its final name only when all of it is on disk. Reports leave in the order in which they came; the newest one that
was sent stays as `sent.json`, for its memory.

    <folder>/reports/00001790000000000000.json   the run that began so many µs after 1970
    <folder>/sent.json                           the last one that was sent and had no successor
    <folder>/refused/…                           what the portal will never take, kept for a person to look at
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from metering.collectors import wire

DIGITS = 20
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Spool:
    """See the module. One process at a time (agent.loop locks)."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.reports, self.refused = folder, folder / "reports", folder / "refused"
        for each in (self.reports, self.refused):
            each.mkdir(parents=True, exist_ok=True)
        for left in self.reports.glob("*.part"):  # of a write that was cut off
            left.unlink()

    def waiting(self) -> list[Path]:
        """Reports that are not sent, oldest first."""
        return sorted(self.reports.glob("*.json"))

    def size(self) -> int:
        """Bytes on disk of what waits."""
        return sum(path.stat().st_size for path in self.waiting())

    def last(self) -> tuple[datetime | None, Mapping[str, Any]]:
        """When the newest run began, and what it left for the next one to remember."""
        newest = self.waiting()[-1:] or [path for path in (self.folder / "sent.json",) if path.exists()]
        if not newest:
            return None, {}
        kept = read(newest[0])
        return datetime.fromisoformat(kept["report"]["at"]), kept["memory"]

    def add(self, report: wire.Report) -> None:
        """Put a run down; on return it survives whatever happens to the machine."""
        number = f"{(report.at - EPOCH) // MICROSECOND:0{DIGITS}d}"
        content = json.dumps({"report": wire.dump(report), "memory": dict(report.collected.memory)}, ensure_ascii=False)
        part = self.reports / f"{number}.part"
        with part.open("wb") as file:
            file.write(zlib.compress(content.encode(), 1))
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, self.reports / f"{number}.json")
        _sync(self.reports)

    def done(self, path: Path) -> None:
        """The portal has this one. Its memory stays while nothing newer is there."""
        if self.waiting()[-1:] == [path]:
            os.replace(path, self.folder / "sent.json")
            _sync(self.folder)
        else:
            path.unlink()
        _sync(self.reports)

    def refuse(self, path: Path, why: str) -> None:
        """The portal will never take this one; put it aside with its answer. Its memory counts on: what it read is not read again."""
        self.refused.joinpath(path.name + ".txt").write_text(why)
        with contextlib.suppress(FileExistsError):
            os.link(path, self.refused / path.name)
        self.done(path)


def read(path: Path) -> dict[str, Any]:
    """The content of a file of the spool."""
    found: dict[str, Any] = json.loads(zlib.decompress(path.read_bytes()))
    return found


def _sync(folder: Path) -> None:
    """A new name is on disk only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
