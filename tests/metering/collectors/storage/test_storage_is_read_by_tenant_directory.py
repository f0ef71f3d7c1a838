from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from metering.collectors.base import EVERYTHING
from metering.collectors.storage.filesystem import FilesystemCollector
from metering.collectors.storage.trees import TreeWalk
from metering.models import CollectorState

NOW = datetime(2026, 7, 15, 12, 3, 4, tzinfo=UTC)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for slug, size in (("acme", 10_000), ("globex", 200_000)):
        (tmp_path / slug / "deep").mkdir(parents=True)
        (tmp_path / slug / "deep" / "scan.dcm").write_bytes(os.urandom(size))
    return tmp_path


@pytest.fixture
def collector(root: Path) -> FilesystemCollector:
    return FilesystemCollector("volumes", "node-1", root, volume="fast", tenants={"acme", "globex", "initech"})


def run(collector, now=NOW, seconds: float = 20):
    return collector.collect(now, time.monotonic() + seconds)


def sizes(collected):
    return {event.tenant: event.quantity_micro / 1e6 for event in collected.events}


def allocated(path: Path) -> int:
    walk = TreeWalk(path)
    walk.run(float("inf"))
    return walk.allocated


def test_one_reading_in_bytes_for_each_tenant(collector, root):
    collected = run(collector)

    assert collected.state == CollectorState.OK
    assert sizes(collected) == {"acme": allocated(root / "acme"), "globex": allocated(root / "globex")}
    event = collected.events[0]
    assert (event.type, event.time, event.dims) == ("storage_bytes", NOW, {"volume": "fast"})
    assert event.id == "fast:20260715T120000Z"


def test_apparent_bytes_on_request(collector):
    collected = run(replace(collector, measure="apparent"))

    assert collected.readings["tenants"]["acme"]["apparent"] == sizes(collected)["acme"] >= 10_000


def test_what_belongs_to_no_tenant_is_listed(collector, root):
    (root / "stranger").mkdir()
    (root / "loose.bin").write_bytes(b"x")
    (root / "lost+found").mkdir()
    (root / "initech").symlink_to(root / "acme")
    collected = run(collector)

    assert collected.readings["belongs_to_no_tenant"] == ["initech", "loose.bin", "stranger"]
    assert set(sizes(collected)) == {"acme", "globex"}


@pytest.mark.parametrize("what", ["missing", "a file"])
def test_an_unreadable_root_is_unavailable(collector, root, what):
    if what == "a file":
        (root / "file").write_text("")
    collected = run(replace(collector, root=root / ("file" if what == "a file" else "nothing")))

    assert collected.state == CollectorState.UNAVAILABLE
    assert "cannot be read" in collected.detail
    assert collected.events == ()
    assert [gap.subject for gap in collected.gaps] == [EVERYTHING]


def test_an_unreadable_directory_is_a_gap_of_its_tenant_alone(collector, root, monkeypatch):
    """(root reads everything, so the refusal is played)"""
    real = os.open

    def refuse(path, *arguments, **options):
        if str(path).endswith("acme/deep"):
            raise PermissionError(13, "Permission denied", path)
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    collected = run(collector)

    assert collected.state == CollectorState.UNAVAILABLE
    assert collected.detail == "acme: Permission denied: acme/deep"
    assert set(sizes(collected)) == {"globex"}
    assert [(gap.subject, gap.tenant) for gap in collected.gaps] == [("acme", "acme")]
    assert collected.covered == {EVERYTHING, "globex"}


class TestDeadline:
    @pytest.fixture
    def slow(self, monkeypatch):
        """A clock that ticks a second each time somebody looks at it."""
        clock = iter(range(10**6))
        monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
        return lambda: next(clock)

    def test_a_partial_walk_is_no_reading(self, collector, slow):
        collected = collector.collect(NOW, slow() + 3)

        assert collected.state == CollectorState.UNAVAILABLE
        assert sizes(collected) == {}
        assert "acme: not finished within 120 s" in collected.detail
        assert "globex: not reached within 120 s" in collected.detail

    def test_the_next_run_goes_on_and_ends_with_the_same_size(self, collector, root, slow):
        expected = {"acme": allocated(root / "acme"), "globex": allocated(root / "globex")}
        found, memory, runs = {}, {}, 0
        while len(found) < 2:
            collected = replace(collector, memory=memory).collect(NOW + timedelta(minutes=5 * runs), slow() + 5)
            found |= sizes(collected)
            memory, runs = collected.memory, runs + 1
            assert runs < 20

        assert found == expected
        assert runs > 1


class TestVanished:
    def test_a_deleted_tenant_directory_is_a_true_zero_once(self, collector, root):
        first = run(collector)
        (root / "acme" / "deep" / "scan.dcm").unlink()
        (root / "acme" / "deep").rmdir()
        (root / "acme").rmdir()
        second = run(replace(collector, memory=first.memory), NOW + timedelta(minutes=5))
        third = run(replace(collector, memory=second.memory), NOW + timedelta(minutes=10))

        assert sizes(second)["acme"] == 0
        assert "acme" not in sizes(third)

    def test_an_unmounted_volume_is_not_zero(self, collector, root, tmp_path_factory):
        """An empty mount point looks like a volume from which everything was deleted."""
        first = run(collector)
        collected = run(replace(collector, memory=first.memory, root=tmp_path_factory.mktemp("empty")))

        assert collected.state == CollectorState.UNAVAILABLE
        assert "Is the volume mounted?" in collected.detail
        assert collected.events == ()
        assert collected.memory == first.memory

    def test_a_mount_point_can_be_required(self, collector):
        collected = run(replace(collector, require_mount=True))

        assert collected.state == CollectorState.UNAVAILABLE
        assert "not a mount point" in collected.detail
