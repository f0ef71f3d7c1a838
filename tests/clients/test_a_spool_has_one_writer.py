from __future__ import annotations

from pathlib import Path

import pytest
from aurelius import Spool, SpoolBusyError


def test_a_second_one_is_refused_until_the_first_is_closed(tmp_path: Path) -> None:
    first = Spool(tmp_path)
    with pytest.raises(SpoolBusyError):
        Spool(tmp_path)
    first.close()
    Spool(tmp_path).close()


def test_workers_take_a_folder_each_and_adopt_what_a_dead_one_left(tmp_path: Path) -> None:
    one, two = Spool.free(tmp_path), Spool.free(tmp_path)
    assert (one.folder.name, two.folder.name) == ("0", "1")
    one.append("left")
    one.close()
    assert Spool.free(tmp_path).head(9) == ["left"]


def test_whoever_starts_takes_over_what_is_left_of_more_workers(tmp_path: Path) -> None:
    """Three workers were killed, one comes back; a fourth, which lives, keeps its own."""
    workers = [Spool.free(tmp_path) for _ in range(4)]
    for number, spool in enumerate(workers):
        for each in range(3):
            spool.append({"of": number, "number": each})
    for spool in workers[:3]:
        spool.close()
    one = Spool.free(tmp_path)
    assert one.folder == tmp_path / "0"
    assert sorted((record["of"], record["number"]) for record in one.head(100)) == [
        (of, number) for of in range(3) for number in range(3)
    ]
    assert len(workers[3].head(100)) == 3
    assert len(Spool.free(tmp_path)) == 0
