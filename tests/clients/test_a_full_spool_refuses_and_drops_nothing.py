from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

import pytest
from aurelius import Client, Decision, Events, Spool, SpoolFullError
from aurelius.middleware import Caller
from aurelius.spool import MemoryQueue, Position

from portal.embedded import free_port


def test_new_records_are_refused_until_there_is_room(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=300, segment=100)
    taken = 0
    while spool.bytes + 22 <= 300:  # what a record takes
        spool.append({"number": taken})
        taken += 1
    with pytest.raises(SpoolFullError):
        spool.append({"number": taken})
    assert taken > 9
    assert [record["number"] for record in spool.head(100)] == list(range(taken))
    assert spool.bytes <= 300
    assert sum(path.stat().st_size for path in tmp_path.glob("*.log")) <= 300
    spool.done(len(spool.head(3)))
    spool.append({"number": taken})


class SmallDisk:
    """A disk with room for so many more bytes: `os.write` writes what fits, then says ENOSPC; what is deleted gives room."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, room: int) -> None:
        self._folder, self.most, self._write = folder, room + self._used(folder), os.write
        monkeypatch.setattr(os, "write", self.write)

    def _used(self, folder: Path) -> int:
        return sum(path.stat().st_size for path in folder.glob("*"))

    def write(self, descriptor: int, data: bytes) -> int:
        size, at = os.fstat(descriptor).st_size, os.lseek(descriptor, 0, os.SEEK_CUR)
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith("position") and at + len(data) <= size:
            return self._write(descriptor, data)  # written over: that takes no room
        room = self.most - self._used(self._folder)
        if room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._write(descriptor, data[:room])


def test_a_full_disk_is_a_full_spool_and_has_room_again_once_events_are_delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path)
    SmallDisk(monkeypatch, tmp_path, 300)
    taken = 0
    with contextlib.suppress(SpoolFullError):
        while taken < 100:
            spool.append({"number": taken})
            taken += 1
    for _ in range(3):
        with pytest.raises(SpoolFullError):
            spool.append({"number": taken})
    assert [record["number"] for record in spool.head(100)] == list(range(taken))
    spool.done(taken - 1)  # the position is kept though the disk is full
    spool.close()
    spool = Spool(tmp_path)
    assert (spool.head(9), spool.damaged) == ([{"number": taken - 1}], 0)
    spool.done(1)
    spool.append({"number": taken})
    assert spool.head(9) == [{"number": taken}]


def test_a_worker_starts_on_a_full_disk_and_leaves_what_it_cannot_take_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Spool.free(tmp_path), Spool.free(tmp_path)
    second.append("left")
    first.close()
    second.close()
    disk = SmallDisk(monkeypatch, tmp_path / "0", 0)
    worker = Spool.free(tmp_path)
    with pytest.raises(SpoolFullError):
        worker.append("more")
    assert (worker.folder.name, len(worker)) == ("0", 0)
    worker.close()
    disk.most += 300
    assert Spool.free(tmp_path).head(9) == ["left"]


def test_a_position_that_cannot_be_kept_holds_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Position, number: int, offset: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    spool = Spool(tmp_path, segment=40)
    monkeypatch.setattr(Position, "write", fails)
    for number in range(6):
        spool.append({"number": number})
    spool.done(5)
    assert spool.head(9) == [{"number": 5}]
    assert len(list(tmp_path.glob("*.log"))) == 1
    spool.close()
    assert Spool(tmp_path).head(9)[-1] == {"number": 5}


def test_a_closed_spool_takes_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.close()
    with pytest.raises(RuntimeError, match="closed"):
        spool.append("late")
    assert not list(tmp_path.glob("*.log"))


def test_a_queue_in_memory_is_bounded_too() -> None:
    queue = MemoryQueue(most=1)
    queue.append(1)
    with pytest.raises(SpoolFullError):
        queue.append(2)


def test_the_sender_is_told_and_a_request_is_not_broken(tmp_path: Path) -> None:
    away = Client(f"http://127.0.0.1:{free_port()}", "k")
    events = Events(away, spool=Spool(tmp_path, max_bytes=300), every=600)
    caller = Caller(Decision(200, [], b"", "", "u"), events)
    ids = [caller.record("api_calls", 1) for _ in range(5)]
    assert [bool(id) for id in ids] == [True, False, False, False, False]
    with pytest.raises(SpoolFullError):
        events.send("api_calls", 1)
    events.close(timeout=0)
    assert caller.record("api_calls", 1) == ""  # a request that ends after the shutdown
