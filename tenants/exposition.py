"""The page that Prometheus scrapes, of one process or of several that share PROMETHEUS_MULTIPROC_DIR. Needs no Django.

With that folder (in memory, one per container) every process writes its metrics into files of its own, and a scrape, whoever answers
it, adds up all of them. Before it does, the files of processes that have died are merged into one per kind: their counts stay, the
gauges of the living go, and the number of files, which is what a scrape costs, does not grow with every recycled worker. Scrapes read
under a shared lock and merging takes an exclusive one, so that no scrape sees a count twice or not at all.

A scrape storm is harmless: within `KEEP_SECONDS` all scrapers get the same page, and one thread at a time makes it.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client import REGISTRY, CollectorRegistry, Metric, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
KEEP_SECONDS = 0.5
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
DEAD = "0"
"""No process has this number: the name under which the dead are merged."""

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for every counter, which nothing here reads

_extra: list[Collector] = []
"""What every scrape asks for in this process, beside the metrics that are written down: memory, processor time …"""


class Page(NamedTuple):
    """An answer to a scrape."""

    content_type: str
    body: bytes


def add(collector: Collector) -> None:
    """Ask `collector` at every scrape that this process answers. Its numbers must be about all processes that share the folder."""
    _extra.append(collector)


def prepare() -> None:
    """Make the shared folder, before the first metric is made. Without one, each process speaks for itself."""
    if folder := os.environ.get(FOLDER):
        Path(folder).mkdir(parents=True, exist_ok=True)


def exposition(accept: str = "") -> Page:
    """The page, as text or, when `accept` asks for it, as OpenMetrics (with exemplars where a process speaks for itself)."""
    wanted = understood(accept)
    return _pages.setdefault(wanted, Kept(lambda: render(wanted))).get()


def understood(accept: str) -> str:
    """One of the two forms there are, whatever a scraper writes."""
    return OPENMETRICS if "application/openmetrics-text" in accept else ""


def render(accept: str, registry: Collector | None = None) -> Page:
    """A page made now, of `registry` or of this process and those it shares a folder with."""
    encode, content_type = choose_encoder(understood(accept))
    return Page(content_type, encode(_Everything() if registry is None else registry))


class Kept:
    """A page that is made at most every `seconds`, by one thread at a time; who comes meanwhile gets the last one."""

    def __init__(self, make: Callable[[], Page], seconds: float = KEEP_SECONDS) -> None:
        self._make, self._seconds = make, seconds
        self._lock = threading.Lock()
        self._page: Page | None = None
        self._until = float("-inf")

    def get(self) -> Page:
        page = self._page
        if page is not None and (time.monotonic() < self._until or self._lock.locked()):
            return page
        with self._lock:
            if self._page is None or time.monotonic() >= self._until:
                self._page = self._make()
                self._until = time.monotonic() + self._seconds
            return self._page

    def forget(self) -> None:
        """Make the next page anew."""
        self._until = float("-inf")


_pages: dict[str, Kept] = {}


def forget() -> None:
    """Make the next page anew: for tests, which look twice within a moment."""
    _pages.clear()


class _Everything(Collector):
    """What is written down and what is asked for."""

    def collect(self) -> Iterable[Metric]:
        folder = os.environ.get(FOLDER)
        yield from self._written(folder) if folder else REGISTRY.collect()
        for collector in _extra:
            yield from collector.collect()

    def _written(self, folder: str) -> Iterable[Metric]:
        merge_the_dead(Path(folder))
        with _locked(Path(folder), fcntl.LOCK_SH):
            return list(MultiProcessCollector(CollectorRegistry(), folder).collect())  # type: ignore[no-untyped-call]


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    with (folder / "lock").open("a") as handle:
        fcntl.flock(handle, how)
        try:
            yield
        finally:
            # Not left to close(): a child that was forked meanwhile has the open file too and would keep the lock as long as it lives.
            fcntl.flock(handle, fcntl.LOCK_UN)


def merge_the_dead(folder: Path) -> None:
    """Put the files of processes that have died together, and drop the gauges that only the living have."""
    if not _dead(folder):
        return
    with _locked(folder, fcntl.LOCK_EX):
        by_kind: dict[str, list[Path]] = {}
        for path in _dead(folder):
            by_kind.setdefault(path.name.rpartition("_")[0], []).append(path)
        for kind, paths in by_kind.items():
            if not kind.startswith("gauge_live"):
                _merge(folder / f"{kind}_{DEAD}.db", paths)
            for path in paths:
                path.unlink(missing_ok=True)


def _dead(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*_*.db") if (pid := path.stem.rpartition("_")[2]) != DEAD and not _lives(pid)]


def _lives(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError):
        pass
    return True


def _merge(target: Path, paths: list[Path]) -> None:
    """Write the sum of `target` and `paths` beside it and move that into place."""
    files = [str(path) for path in ([target] if target.exists() else []) + paths]
    merged = MultiProcessCollector.merge(files, accumulate=False)  # type: ignore[no-untyped-call]
    beside = target.with_suffix(".new")
    beside.unlink(missing_ok=True)
    written: Any = MmapedDict(str(beside))  # type: ignore[no-untyped-call]
    for metric in merged:
        for sample in metric.samples:
            labels = {name: value for name, value in sample.labels.items() if name != "pid"}
            key = mmap_key(metric.name, sample.name, list(labels), list(labels.values()), metric.documentation)  # type: ignore[no-untyped-call]
            written.write_value(key, sample.value, sample.timestamp or 0.0)
    written.close()
    beside.rename(target)
