"""What limiting adds to a Django request: ours beside DRF throttles, django-ratelimit and limits, three windows each."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from bench import stage
from bench.loads import ROOT
from bench.report import Report, median_of

NAME = "enforcement: added to a Django request"
MODES = ("bare", "ours", "drf bare", "drf x3", "django-ratelimit x3", "limits x3", "limits x3 + headers")
WITH_HEADERS = ("limits x3 + headers",)
"""Peers that also tell the client its limits; django-ratelimit and DRF send none on a granted call."""

GOALS = {"ours_per_peer_with_headers": ("<=", 0.25)}
USERS = 1_000


def run(report: Report) -> None:
    samples: dict[str, list[dict[str, float]]] = {mode: [] for mode in MODES}
    with stage.private_redis() as url:
        connection = stage.connect(url)
        for number in range(report.rounds(9)):
            report.step(f"round {number + 1}")
            for mode in MODES:
                connection.command("FLUSHALL")
                texts = stage.put_users(url, 100, USERS // 100, stage.LARGE)
                samples[mode].append(one_process(url, mode, texts, requests=2_000))
    found = {mode: median_of(rows) for mode, rows in samples.items()}
    for mode in MODES:
        base = found["drf bare" if mode.startswith("drf") else "bare"]
        added = found[mode]["p50"] - base["p50"]
        report.row(
            mode,
            p50_us=found[mode]["p50"],
            p99_us=found[mode]["p99"],
            added_p50_us=added,
            refused=found[mode]["refused"],
        )
    added = {row[""]: row["added_p50_us"] for row in report.rows}
    report.value("ours_per_peer_with_headers", max(added["ours"] / added[peer] for peer in WITH_HEADERS))
    for peer in ("drf x3", "django-ratelimit x3", "limits x3"):
        report.note(
            f"ours adds {added['ours'] / added[peer]:.2f} of what {peer} adds (which sends no headers on a granted call)"
        )
    report.note(
        "ours also verifies the key, the tenant's state and the monthly quota, and counts for the bill; the peers do not"
    )


def one_process(url: str, mode: str, texts: list[bytes], *, requests: int) -> dict[str, float]:
    """Requests through the WSGI handler in a fresh process."""
    environment = {
        **os.environ,
        "BENCH_MODE": mode,
        "BENCH_REDIS_URL": url,
        "BENCH_PEPPER": stage.PEPPER,
        "DJANGO_SETTINGS_MODULE": "bench.site.settings",
    }
    answer = subprocess.run(
        [sys.executable, "-m", "bench.site.one_process", str(requests)],
        input=b" ".join(texts),
        capture_output=True,
        cwd=ROOT,
        env=environment,
    )
    if answer.returncode:
        raise RuntimeError(f"{mode}: {answer.stderr.decode()[-2000:]}")
    result: dict[str, float] = json.loads(answer.stdout)
    return result
