"""A compiled NVML that says what a test writes, a /proc of our own, and the collector that reads both."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from metering.collectors.base import Collected
from metering.collectors.gpus.nvml import NvmlCollector
from tests.metering.collectors.prometheus_server import prometheus  # noqa: F401

STUB = Path(__file__).with_name("nvml_stub.c")
START = datetime(2026, 7, 15, 12, 0, 20, tzinfo=UTC)
IDLE = "gpu util=0 used=0 total=85899345920 power=70000 temp=31 energy=1000"


@pytest.fixture(scope="session")
def stub_library(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Compile the stub (once per set of flags); the folder for LD_LIBRARY_PATH."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip(
            "no C compiler (cc, gcc or clang) on PATH, which the NVML stub needs: apt-get install gcc libc6-dev"
        )
    made: dict[tuple[str, ...], Path] = {}

    def build(*flags: str) -> Path:
        if flags not in made:
            folder = tmp_path_factory.mktemp("nvml")
            library = folder / "libnvidia-ml.so.1"
            subprocess.run(
                [compiler, "-Wall", "-Werror", "-shared", "-fPIC", *flags, "-o", str(library), str(STUB)], check=True
            )
            made[flags] = folder
        return made[flags]

    return build


@dataclass
class Proc:
    """A /proc in which processes have an age and an environment."""

    root: Path

    def add(self, pid: int, age: float = 3600, name: str = "python", **environment: str) -> None:
        folder = self.root / str(pid)
        folder.mkdir(parents=True, exist_ok=True)
        started = round((100_000 - age) * os.sysconf("SC_CLK_TCK"))
        (folder / "stat").write_text(f"{pid} ({name}) S " + "0 " * 18 + f"{started} 0 0\n")
        (folder / "environ").write_bytes(
            b"\0".join(f"{key}={value}".encode() for key, value in environment.items()) + b"\0"
        )


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    root = tmp_path / "proc"
    root.mkdir()
    (root / "uptime").write_text("100000.00 0.00\n")
    return Proc(root)


@dataclass
class Gpus:
    """The node's GPUs and the collector on it; `sample` is one run, `later` moves the clock."""

    stub_file: Path
    use: Callable[..., None]
    collector: NvmlCollector
    now: datetime = START

    def are(self, *lines: str) -> None:
        self.stub_file.write_text("\n".join(lines) + "\n")

    def sample(self, **changes: Any) -> Collected:
        self.collector = replace(self.collector, **changes)
        collected = self.collector.collect(self.now, time.monotonic() + 20)
        self.collector = replace(self.collector, memory=collected.memory)
        return collected

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def gpus(stub_library: Callable[..., Path], proc: Proc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gpus:
    """One idle GPU, sampled by a collector that bills acme and globex. `use("-DOLD")` swaps the library, `use(None)` removes it."""

    def use(*flags: str | None) -> None:
        monkeypatch.setenv(
            "LD_LIBRARY_PATH", str(stub_library(*flags) if flags != (None,) else tmp_path / "nothing-here")
        )

    stub_file = tmp_path / "gpus"
    monkeypatch.setenv("NVML_STUB", str(stub_file))
    use()
    collector = NvmlCollector("gpus", "node-1", proc=proc.root, tenants={"acme", "globex"})
    gpus = Gpus(stub_file, use, collector)
    gpus.are(IDLE)
    return gpus


@pytest.fixture
def seconds() -> Callable[[Collected], dict[str, float]]:
    """Billed seconds by tenant of a run."""

    def by_tenant(collected: Collected) -> dict[str, float]:
        found: dict[str, float] = {}
        for event in collected.events:
            found[event.tenant] = found.get(event.tenant, 0) + event.quantity_micro / 1e6
        return found

    return by_tenant
