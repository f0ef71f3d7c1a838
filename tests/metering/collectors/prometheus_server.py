"""A real Prometheus with history that promtool writes, and collectors that catch up with it."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from metering.collectors.series.prometheus import PrometheusCollector
from metering.models import CollectorState
from portal.embedded import free_port

NEEDED = [name for name in ("prometheus", "promtool") if shutil.which(name) is None]
needs_prometheus = pytest.mark.skipif(
    bool(NEEDED), reason=f"{', '.join(NEEDED)} not on PATH: apt-get install prometheus"
)
HOUR = timedelta(hours=1)
NOW = datetime.now(UTC).replace(microsecond=0)
BEGAN = (NOW - 6 * HOUR).replace(minute=0, second=0)
"""Of the scripted history; the collector catches up from here."""


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Start a Prometheus with a history in OpenMetrics (offsets in seconds from BEGAN), and maybe a target; its address."""
    started: list[subprocess.Popen[bytes]] = []

    def start(history: str = "", target: str = "") -> str:
        data = tmp_path / "data"
        data.mkdir()
        if history:
            (tmp_path / "history").write_text(history + "# EOF\n")
            command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(tmp_path / "history"), str(data)]
            subprocess.run(command, check=True, capture_output=True)
        scrape = f"[{{job_name: dcgm, scrape_interval: 200ms, scrape_timeout: 200ms, static_configs: [{{targets: ['{target}']}}]}}]"
        (tmp_path / "prometheus.yml").write_text(f"scrape_configs: {scrape if target else '[]'}\n")
        address = f"127.0.0.1:{free_port()}"
        command = [
            "prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={data}", f"--web.listen-address={address}",
            "--storage.tsdb.retention.time=30d",
        ]  # fmt: skip
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        until(lambda: httpx.get(f"http://{address}/-/ready").status_code == 200)
        return f"http://{address}"

    yield start
    for process in started:
        process.terminate()
        process.wait()


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if true():
                return
        except httpx.HTTPError:
            pass
        assert time.monotonic() < deadline, "Prometheus did not get there"
        threading.Event().wait(0.05)


def series(name: str, points: list[tuple[float, float]], **labels: str) -> str:
    shown = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return "".join(f"{name}{{{shown}}} {value} {BEGAN.timestamp() + at:.3f}\n" for at, value in points)


def every(step: int, start: int, end: int, value: float = 1) -> list[tuple[float, float]]:
    return [(float(at), value) for at in range(start, end, step)]


def collector(url: str, **changes: object) -> PrometheusCollector:
    known: dict = {"memory": {"until": BEGAN.timestamp()}, "tenants": {"acme", "globex"}, "max_gap_seconds": 60}
    return PrometheusCollector("dcgm", "node-1", url, **{"selector": "DCGM_FI_DEV_GPU_UTIL", **known, **changes})


def catch_up(of: PrometheusCollector, runs: int = 6):
    """Run by run until the present; everything that was booked, by id, and all gaps."""
    events, gaps = {}, []
    for _ in range(runs):
        found = of.collect(datetime.now(UTC), time.monotonic() + 20)
        assert found.state == CollectorState.OK, found.detail
        for event in found.events:
            assert (event.tenant, event.id) not in events
            events[event.tenant, event.id] = event
        gaps += found.gaps
        of = replace(of, memory=found.memory)
    return list(events.values()), gaps


def seconds(events, tenant: str) -> float:
    return sum(event.quantity_micro for event in events if event.tenant == tenant) / 1e6
