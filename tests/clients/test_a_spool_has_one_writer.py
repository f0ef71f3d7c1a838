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
