"""Ctrl-C reaches every process of a terminal: the others end the portion in hand, and what nobody has begun is left."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from metering import processes

PORTIONS = 40

pytestmark = pytest.mark.django_db(transaction=True)


def portion(file: Path) -> int:
    """Interrupted in the middle where it is another process that works on it."""
    if multiprocessing.parent_process() is not None:
        os.kill(os.getpid(), signal.SIGINT)
    file.touch()
    return os.getpid()


@pytest.fixture(autouse=True)
def environment_of_other_processes(server_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server_environment.items():
        monkeypatch.setenv(name, value)


def test_what_is_in_hand_is_ended_and_the_rest_left(tmp_path: Path) -> None:
    files = [tmp_path / str(number) for number in range(PORTIONS)]
    going = processes.each_portion(portion, files, 2)
    next(going)
    with pytest.raises(KeyboardInterrupt):
        going.throw(KeyboardInterrupt())
    done = len(list(tmp_path.iterdir()))
    assert 1 <= done < PORTIONS / 2
    assert not multiprocessing.active_children()


def test_an_interrupted_process_goes_on_with_its_portion(tmp_path: Path) -> None:
    files = [tmp_path / str(number) for number in range(PORTIONS)]
    workers = {worker for _, worker in processes.each_portion(portion, files, 2)}
    assert len(workers) == 2
    assert len(list(tmp_path.iterdir())) == PORTIONS
