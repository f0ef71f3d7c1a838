"""Decisions of the endpoint with metrics, without, and with a shared folder, in turns; prints the CPU time of one in µs as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from typing import Any

from prometheus_client import values

from bench.site import endpoint
from tenants.enforcement import metrics
from tenants.enforcement.deciding.core import Core

AT_ONCE, BATCHES = 32, 20
MODES = ("without", "with", "shared")
KINDS = ("DECISIONS", "DECISION_SECONDS", "API_REQUESTS")


class Nothing:
    """A metric that counts nothing."""

    def labels(self, *_: Any) -> Nothing:
        return self

    def inc(self, amount: float = 1) -> None:
        return None

    def observe(self, value: float, exemplar: Any = None) -> None:
        return None


def metrics_of(mode: str) -> dict[str, Any]:
    """The metrics of a decision in a mode: none, in memory, or in a file that processes share."""
    if mode == "without":
        return dict.fromkeys(KINDS, Nothing())
    if mode == "with":
        return {name: getattr(metrics, name) for name in KINDS}
    from prometheus_client import CollectorRegistry, Counter, Histogram
    from prometheus_client import metrics as making

    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="aurelius-bench-")
    making.values.ValueClass = values.MultiProcessValue()
    registry = CollectorRegistry()
    buckets = tuple(metrics.DECISION_SECONDS._upper_bounds)
    return {
        "DECISIONS": Counter("d", "d", ["door", "outcome"], registry=registry),
        "DECISION_SECONDS": Histogram("s", "s", ["door"], buckets=buckets, registry=registry),
        "API_REQUESTS": Counter("r", "r", ["tenant", "route_group"], registry=registry),
    }


def use(core: Core, chosen: dict[str, Any]) -> None:
    for name, metric in chosen.items():
        setattr(metrics, name, metric)
    core._requests.clear()
    core._granted = metrics.DECISIONS.labels(core.door, "granted")
    core.seconds = metrics.DECISION_SECONDS.labels(core.door)


async def ask(texts: list[bytes]) -> None:
    async def one(text: bytes) -> None:
        scope = {"type": "http", "path": "/decide", "method": "GET", "query_string": b"",
                 "headers": [(b"authorization", b"Bearer " + text)]}  # fmt: skip
        statuses: list[int] = []

        async def send(message: Any) -> None:
            statuses.append(message.get("status", 0))

        await endpoint.app(scope, None, send)  # type: ignore[arg-type]
        assert statuses[0] == 200, statuses

    await asyncio.gather(*(one(text) for text in texts[:AT_ONCE]))


async def main() -> None:
    texts = sys.stdin.buffer.read().split()
    core = endpoint.app.enforcer
    chosen = {mode: metrics_of(mode) for mode in MODES}
    samples: dict[str, list[float]] = {mode: [] for mode in MODES}
    for number in range(int(sys.argv[1]) + 1):
        turn = number % len(MODES)
        for mode in (*MODES[turn:], *MODES[:turn]):
            use(core, chosen[mode])
            await ask(texts)
            cpu = time.process_time()
            for _ in range(BATCHES):
                await ask(texts)
            if number:
                samples[mode].append((time.process_time() - cpu) / BATCHES / AT_ONCE * 1e6)
    result = {mode: statistics.median(found) for mode, found in samples.items()}
    pairs = zip(samples["with"], samples["without"], strict=True)
    result["added_percent"] = (statistics.median(ours / base for ours, base in pairs) - 1) * 100
    print(json.dumps(result))


asyncio.run(main())
