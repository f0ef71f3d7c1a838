"""What `append` returned from is there after a crash; torn and changed lines are skipped; the position may be lost."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from aurelius import Spool
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.clients.conftest import PACKAGE

WRITER = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import pytest
from aurelius import Spool
spool = Spool(sys.argv[2], segment=2_000)
for number in range(100):
    spool.append({"number": number})
spool.done(len(spool.head(30)))
os.kill(os.getpid(), signal.SIGKILL)
"""


def numbers(spool: Spool) -> list[int]:
    return [record["number"] for record in spool.head(1_000)]


def test_a_killed_process_loses_nothing(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", WRITER, str(PACKAGE), str(tmp_path)])
    spool = Spool(tmp_path)
    assert numbers(spool) == list(range(30, 100))
    spool.append({"number": 100})
    assert numbers(spool)[-1] == 100
    spool.done(len(spool))
    spool.close()
    assert not list(tmp_path.glob("*.log"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(cut=st.integers(1, 400))
def test_a_torn_tail_costs_only_what_it_tore(tmp_path_factory: object, cut: int) -> None:
    folder = tmp_path_factory.mktemp("spool")  # type: ignore[attr-defined]
    spool = Spool(folder)
    for number in range(10):
        spool.append({"number": number})
    spool.close()
    file = next(folder.glob("*.log"))
    whole = file.read_bytes()
    file.write_bytes(whole[: max(0, len(whole) - cut)])
    kept = file.read_bytes().count(b"\n")
    again = Spool(folder)
    again.append({"number": 99})
    assert numbers(again) == [*range(kept), 99]
    again.close()


def test_a_changed_line_is_skipped_and_said(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for number in range(3):
        spool.append({"number": number})
    spool.close()
    file = next(tmp_path.glob("*.log"))
    file.write_bytes(file.read_bytes().replace(b'{"number":1}', b'{"number":7}'))
    again = Spool(tmp_path)
    assert (numbers(again), again.damaged) == ([0, 2], 1)


@pytest.mark.parametrize(
    "position",
    ["?", "", "1 99999999", "999999999999 0", "1 -5", "000000000001 000000000020 00000000", "1 20 \u00e9", "x" * 99],
)
def test_a_lost_position_sends_again_and_loses_nothing(tmp_path: Path, position: str) -> None:
    spool = Spool(tmp_path)
    for number in range(3):
        spool.append({"number": number})
    spool.done(len(spool.head(2)))
    spool.close()
    (tmp_path / "position").write_text(position)
    again = Spool(tmp_path)
    assert numbers(again) == [0, 1, 2]
    again.done(1)
    again.close()
    assert numbers(Spool(tmp_path)) == [1, 2]


@pytest.mark.parametrize("harm", ["changed", "cut", "gone"])
def test_what_is_harmed_while_it_waits_holds_nothing_up(tmp_path: Path, harm: str) -> None:
    spool = Spool(tmp_path, segment=40)  # two records a file
    for number in range(6):
        spool.append({"number": number})
    file = sorted(tmp_path.glob("*.log"))[1]
    whole = file.read_bytes()
    if harm == "gone":
        file.unlink()
    else:
        file.write_bytes(whole[:-5] if harm == "cut" else whole.replace(b":3}", b":7}"))
    left = [0, 1, 4, 5] if harm == "gone" else [0, 1, 2, 4, 5]
    assert (numbers(spool), spool.damaged) == (left, 6 - len(left))
    spool.done(len(left) - 1)
    spool.append({"number": 6})
    assert numbers(spool)[-2:] == [5, 6]


def test_with_sync_the_name_of_a_new_file_is_on_the_disk_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    spool = Spool(tmp_path, sync=True)
    for number in range(2):
        spool.append({"number": number})
    spool.close()
    assert synced == ["folder", "file", "file"]
