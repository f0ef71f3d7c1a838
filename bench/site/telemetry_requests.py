"""A process of one mode: reads how many requests to answer, answers them, prints what one cost. See bench/telemetry.py."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time

import django

WITHOUT = bool(os.environ.get("BENCH_WITHOUT_TELEMETRY"))


def take_out() -> None:
    """The product as it would be without telemetry."""
    import contextlib
    from collections.abc import Callable
    from typing import Any

    from django.conf import settings

    from portal.telemetry import lines
    from tenants import spans
    from tenants.enforcement.deciding import blocking

    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "portal.telemetry" not in name]
    nothing: contextlib.AbstractContextManager[Callable[..., None]] = contextlib.nullcontext(lambda _: None)
    replacement: Any = lambda *_: nothing  # noqa: E731
    blocking.traced = replacement
    lines.ids = lambda: None
    lines.scrub = lambda line: line
    spans.exemplar = lambda: None


def main() -> None:
    django.setup()
    if WITHOUT:
        take_out()
    from django.test import Client

    client = Client()
    headers = {"Authorization": f"Bearer {sys.argv[1]}"}
    for line in sys.stdin:
        took = []
        cpu = time.process_time()
        for _ in range(int(line)):
            started = time.perf_counter()
            answer = client.get("/api/v1/tenants/tenant-0/quotas", headers=headers)
            took.append(time.perf_counter() - started)
            assert answer.status_code == 200, answer.content
        used = (time.process_time() - cpu) / len(took)
        print(json.dumps({"cpu_us": used * 1e6, "p50_us": statistics.median(took) * 1e6}), flush=True)


main()
