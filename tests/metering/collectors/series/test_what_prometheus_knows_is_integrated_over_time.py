"""Against a real Prometheus: history that promtool writes, and an exporter that is scraped."""

from __future__ import annotations

import http.server
import re
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from metering.models import CollectorState
from tests.metering.collectors.prometheus_server import (
    BEGAN,
    HOUR,
    NOW,
    catch_up,
    collector,
    every,
    needs_prometheus,
    seconds,
    series,
    until,
)

pytestmark = needs_prometheus


def test_held_time_is_divided_and_what_was_not_seen_is_not_billed(prometheus):
    gpu = {"UUID": "GPU-0", "modelName": "NVIDIA H100 80GB HBM3"}
    acme = [*every(15, 0, 3601), *every(15, 4200, 4801)]  # silent for ten minutes in between
    history = series("DCGM_FI_DEV_GPU_UTIL", acme, namespace="acme", **gpu)
    history += series("DCGM_FI_DEV_GPU_UTIL", every(15, 1800, 3601), namespace="team-g", **gpu)
    history += series(
        "DCGM_FI_DEV_GPU_UTIL", every(15, 0, 601), namespace="kube-system", UUID="GPU-1", modelName="NVIDIA A100"
    )
    events, gaps = catch_up(
        collector(prometheus("# TYPE DCGM_FI_DEV_GPU_UTIL gauge\n" + history), mapping={"team-g": "globex"})
    )

    assert seconds(events, "acme") == pytest.approx(1800 + 900 + 600, abs=0.01)
    assert seconds(events, "globex") == pytest.approx(900, abs=0.01)
    assert {event.dims["model"] for event in events} == {"H100"}
    assert all(event.time.minute % 15 == 0 for event in events)
    assert ("GPU-0", BEGAN + HOUR) in {(gap.subject, gap.starts_at) for gap in gaps}


def test_a_counter_that_was_reset_counts_on(prometheus):
    points = [(0.0, 1000.0), (60.0, 1500.0), (120.0, 100.0), (180.0, 400.0), (7200.0, 900.0)]
    history = "# TYPE joules counter\n" + series("joules_total", points, namespace="acme")
    of = collector(prometheus(history), selector="joules_total", measure="increase", event_type="gpu_seconds")
    events, _ = catch_up(of)

    assert seconds(events, "acme") == 500 + 100 + 300 + 500


def test_a_gauge_is_integrated_between_its_samples(prometheus):
    points = [(float(at), at / 60) for at in range(0, 3601, 30)]  # from 0 to 60 within an hour
    history = "# TYPE level gauge\n" + series("level", points, namespace="acme")
    events, _ = catch_up(collector(prometheus(history), selector="level", measure="integral"))

    assert seconds(events, "acme") == pytest.approx(60 * 3600 / 2, rel=1e-6)
    assert len(events) == 4


def test_time_without_scrapes_is_a_gap_about_everything(prometheus):
    history = "# TYPE up gauge\n" + series(
        "up", [*every(15, 0, 1200), *every(15, 1200, 2400, 0), *every(15, 2400, 22000)], job="d"
    )
    _, gaps = catch_up(collector(prometheus(history), up='up{job="d"}'), runs=1)

    ((start, end),) = [(gap.starts_at, gap.ends_at) for gap in gaps]
    assert (start, end) == (BEGAN + timedelta(seconds=1185), BEGAN + timedelta(seconds=2400))


def test_a_clock_that_differs_is_told_and_nothing_is_booked(prometheus):
    found = collector(prometheus()).collect(NOW + timedelta(hours=2), time.monotonic() + 20)

    assert (found.state, found.events) == (CollectorState.UNAVAILABLE, ())
    assert re.search(
        r"its clock is -\d{4} s from ours", found.detail
    )  # two hours, less what has passed since NOW was taken
    assert found.memory == {"until": BEGAN.timestamp()}


def test_an_exporter_is_scraped_and_its_devices_are_shown(prometheus):
    values = {
        "DCGM_FI_DEV_GPU_UTIL": 70,
        "DCGM_FI_DEV_FB_USED": 1024,
        "DCGM_FI_DEV_FB_FREE": 3072,
        "DCGM_FI_DEV_POWER_USAGE": 300,
    }

    class Exporter(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            labels = '{gpu="3",UUID="GPU-7",modelName="NVIDIA H100 PCIe",namespace="acme"}'
            body = "".join(f"# TYPE {name} gauge\n{name}{labels} {value}\n" for name, value in values.items()).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Exporter)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    began = time.time()
    url = prometheus(target=f"127.0.0.1:{server.server_port}")
    memory = {"until": began}
    of = collector(url, devices=True, max_gap_seconds=1, lag_seconds=1, memory=memory)
    try:
        until(lambda: seconds(of.collect(datetime.now(UTC), time.monotonic() + 5).events, "acme") > 1)
        found = of.collect(datetime.now(UTC), time.monotonic() + 5)
    finally:
        server.shutdown()
        server.server_close()

    (gpu,) = found.devices
    assert (gpu.uuid, gpu.index, gpu.model) == ("GPU-7", 3, "H100")
    assert gpu.readings["memory_total_bytes"] == 4096 * 2**20
    assert 0 < seconds(found.events, "acme") <= time.time() - began
    used = found.device_uses
    assert sum(use.busy_seconds for use in used) == pytest.approx(0.7 * sum(use.known_seconds for use in used))


def test_nobody_there_is_unavailable():
    found = collector("http://127.0.0.1:9").collect(NOW, time.monotonic() + 5)

    assert (found.state, found.events, found.memory) == (CollectorState.UNAVAILABLE, (), {"until": BEGAN.timestamp()})
