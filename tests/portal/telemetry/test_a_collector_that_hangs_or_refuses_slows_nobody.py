"""A collector that takes connections and never answers, one that is not there, one that closes: requests go on as fast as before,
memory is bounded, what is lost is counted, and a process ends when it is asked to."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import pytest

from tests.portal.telemetry.keys import service_key

ASK = """
    import json, time
    from portal.telemetry import setup
    from prometheus_client import REGISTRY
    from tenants import spans
    client, headers = Client(), {"Authorization": "Bearer " + sys.argv[1]}
    client.get("/api/v1/me", headers=headers)
    statuses, slowest = set(), 0.0
    for _ in range(30):
        started = time.perf_counter()
        statuses.add(client.get("/api/v1/me", headers=headers).status_code)
        slowest = max(slowest, time.perf_counter() - started)
    for _ in range(5000):
        with spans.span("much"):
            pass
    queue = setup._provider._active_span_processor._span_processors[0]._batch_processor._queue
    ending = time.perf_counter()
    setup.stop()
    print(json.dumps({
        "statuses": sorted(statuses), "slowest": slowest, "queued": len(queue), "ended_in": time.perf_counter() - ending,
        "dropped": REGISTRY.get_sample_value("portal_trace_spans_dropped_total", {"reason": "queue_full"}),
    }))
"""


@pytest.fixture
def hanging() -> Iterator[int]:
    """A port that takes connections and bytes, and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


@pytest.fixture
def refusing() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize("which", ["hanging", "refusing"])
def test_requests_go_on(request, cast, child, server_environment, which, protocol):
    environment = {
        **server_environment,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{request.getfixturevalue(which)}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    started = time.monotonic()
    found = json.loads(child(ASK, environment, service_key(cast.acme)).stdout)
    assert found["statuses"] == [200]
    assert found["slowest"] < 2.5, "the exporter's deadline is 3 s: nobody waited for it"
    assert found["queued"] <= 2048
    assert found["dropped"] > 0
    assert found["ended_in"] < 4
    assert time.monotonic() - started < 50
