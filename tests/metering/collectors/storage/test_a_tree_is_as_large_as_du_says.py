"""Real trees with hard links, sparse files, symbolic links and odd names, against the real `du`."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import threading
import time

import pytest

from metering.collectors.storage.trees import TreeWalk

FOREVER = float("inf")


def du(path, *flags: str) -> int:
    if shutil.which("du") is None:
        pytest.skip("no du on PATH")
    output = subprocess.run(["du", "-s", *flags, str(path)], check=True, capture_output=True, text=True).stdout
    return int(output.split()[0])


@pytest.fixture
def tree(tmp_path):
    """Some 300 files in 40 directories."""
    dice = random.Random(7)
    root = tmp_path / "tree"
    root.mkdir()
    folders = [root]
    for number in range(40):
        folder = dice.choice(folders) / f"d{number}"
        folder.mkdir()
        folders.append(folder)
    files = []
    for number in range(250):
        path = dice.choice(folders) / f"f{number}"
        path.write_bytes(os.urandom(dice.choice([0, 1, 100, 5000, 70_000])))
        files.append(path)
    for number, path in enumerate(dice.sample(files, 40)):
        os.link(path, dice.choice(folders) / f"link{number}")
    for number in range(5):
        with (dice.choice(folders) / f"sparse{number}").open("wb") as handle:
            handle.truncate(50_000_000)
            handle.seek(1_000_000)
            handle.write(b"x" * 10_000)
    (root / "loop").symlink_to(root)
    (root / "elsewhere").symlink_to("/usr")
    (root / b"not utf-8 \xff\xfe".decode("utf-8", "surrogateescape")).write_bytes(b"y" * 300)
    return root


def test_allocated_and_apparent_bytes(tree):
    walk = TreeWalk(tree)
    assert walk.run(FOREVER)

    assert walk.allocated == du(tree, "--block-size=1")
    assert walk.apparent == du(tree, "--apparent-size", "--block-size=1")


def test_a_sparse_file_takes_what_it_takes(tmp_path):
    with (tmp_path / "sparse").open("wb") as handle:
        handle.truncate(10**9)
    walk = TreeWalk(tmp_path)
    walk.run(FOREVER)

    assert walk.apparent > 10**9
    assert walk.allocated < 10**6


def test_a_hard_linked_file_counts_once(tmp_path):
    (tmp_path / "one").write_bytes(b"x" * 100_000)
    before = TreeWalk(tmp_path)
    before.run(FOREVER)
    for number in range(5):
        os.link(tmp_path / "one", tmp_path / f"again{number}")
    after = TreeWalk(tmp_path)
    after.run(FOREVER)

    assert after.allocated == before.allocated
    assert after.files == 1


@pytest.mark.parametrize("steps", [1, 3, 1000])
def test_a_walk_in_steps_finds_the_same(tree, monkeypatch, steps):
    """Put down and taken up again after every few directories, through JSON, as the next run would."""
    import json

    whole = TreeWalk(tree)
    whole.run(FOREVER)
    clock = iter(range(10**9))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    walk, rounds = TreeWalk(tree), 1
    while not walk.run(next(clock) + 1 + steps):
        walk = TreeWalk.resume(tree, json.loads(json.dumps(walk.checkpoint())))
        rounds += 1
        assert rounds < 1000

    assert (walk.allocated, walk.apparent, walk.files, walk.directories) == (
        whole.allocated, whole.apparent, whole.files, whole.directories,
    )  # fmt: skip
    assert rounds > 1 or steps == 1000


def test_a_directory_too_long_for_the_deadline_counts_nothing_of_itself(tmp_path, monkeypatch):
    for number in range(30):
        (tmp_path / f"f{number}").write_bytes(b"x" * 1000)
    monkeypatch.setattr("metering.collectors.storage.trees.LOOK_AT_THE_CLOCK_EVERY", 10)
    clock = iter([0, 99])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    walk = TreeWalk(tmp_path)

    assert not walk.run(50)
    assert (walk.allocated, walk.files, walk.pending) == (0, 0, [""])


def test_files_that_vanish_during_the_walk_are_not_counted(tmp_path, monkeypatch):
    """Between reading a directory and asking for its files' sizes."""
    (tmp_path / "stays").write_bytes(b"x" * 5000)
    (tmp_path / "goes").write_bytes(b"x" * 5000)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inside").write_bytes(b"x" * 5000)
    real = os.scandir

    def scandir(path):
        entries = real(path)
        if os.fstat(path).st_ino == tmp_path.stat().st_ino:
            listed = list(entries)
            (tmp_path / "goes").unlink()
            shutil.rmtree(tmp_path / "folder")
            return Listing(listed)
        return entries

    class Listing(list):
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    monkeypatch.setattr(os, "scandir", scandir)
    walk = TreeWalk(tmp_path)

    assert walk.run(FOREVER)
    assert walk.files == 1


def test_a_directory_that_changes_all_the_while_is_counted_between_what_stays_and_all_that_was_there(tmp_path):
    """While others make, rename and delete below it: the walk ends without an error, and counts what stays once."""
    root = tmp_path / "tree"
    for number in range(40):
        (root / f"stays{number}" / "deep").mkdir(parents=True)
        (root / f"stays{number}" / "deep" / "file").write_bytes(b"x" * 10_000)
    stays = TreeWalk(root)
    assert stays.run(FOREVER)
    changes, done = 0, threading.Event()

    def change() -> None:
        nonlocal changes
        while not done.is_set():
            here, there = root / f"stays{changes % 40}" / "coming", root / "going"
            here.mkdir()
            (here / "part").write_bytes(b"y" * 4000)
            here.rename(there)
            shutil.rmtree(there)
            changes += 1

    changing = threading.Thread(target=change)
    changing.start()
    walks = []
    try:
        while len(walks) < 30 or changes < 30:
            walks.append(TreeWalk(root))
            assert walks[-1].run(FOREVER)
    finally:
        done.set()
        changing.join()
    for walk in walks:
        # Where it is while it moves, it may be met twice: once below its old name, once below the new one.
        assert stays.files <= walk.files <= stays.files + 41
        assert stays.directories <= walk.directories <= stays.directories + 41
    calm = TreeWalk(root)
    assert calm.run(FOREVER)
    assert (calm.files, calm.directories, calm.apparent) == (stays.files, stays.directories, stays.apparent)


def test_directories_that_vanish_before_they_are_entered_are_not_counted(tmp_path):
    (tmp_path / "now a file").write_bytes(b"x")
    walk = TreeWalk(tmp_path, pending=["gone", "now a file"])

    assert walk.run(FOREVER)
    assert walk.directories == 0


def test_a_directory_swapped_for_a_symbolic_link_is_not_followed(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "large").write_bytes(b"x" * 100_000)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "swapped").symlink_to(tmp_path / "outside")
    walk = TreeWalk(tmp_path / "tree", pending=["swapped"])

    assert walk.run(FOREVER)
    assert walk.files == 0


def test_a_tree_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        TreeWalk(tmp_path / "nothing").run(FOREVER)


def test_a_walk_too_large_to_remember_starts_again(tmp_path, monkeypatch):
    monkeypatch.setattr("metering.collectors.storage.trees.MOST_TO_REMEMBER", 3)
    walk = TreeWalk(tmp_path, pending=["a", "b", "c", "d"])

    assert walk.checkpoint() is None
