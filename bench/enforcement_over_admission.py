"""Fifty concurrent clients of one user against four processes: how many calls does each limiter admit of a limit of 60 a minute?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from bench import stage
from bench.loads import served
from bench.report import Report

NAME = "enforcement: over-admission"
MODES = ("ours", "drf x3", "django-ratelimit x3", "limits x3")
GOALS = {"ours_admitted_of_60": ("==", 60.0)}
PROCESSES, CLIENTS, CALLS, LIMIT = 4, 50, 600, 60


def run(report: Report) -> None:
    with stage.private_redis() as url:
        for mode in MODES:
            admitted = []
            with four_processes(url, mode) as targets:
                for number in range(report.rounds(5)):
                    report.step(f"{mode}, round {number + 1}")
                    stage.connect(url).command("FLUSHALL")
                    text = stage.put_users(url, 1, 1, stage.STANDARD)[0]
                    _away_from_a_minutes_edge()
                    admitted.append(asyncio.run(rush(targets, text)))
            report.row(
                f"{mode}: admitted of {LIMIT}", lowest=min(admitted), highest=max(admitted), times=max(admitted) / LIMIT
            )
            if mode == "ours":
                report.value("ours_admitted_of_60", max(admitted, key=lambda count: abs(count - LIMIT)))
    report.note(f"{CALLS} calls by {CLIENTS} clients, {PROCESSES} granian processes with 8 threads each, one user")


@contextmanager
def four_processes(url: str, mode: str) -> Iterator[list[str]]:
    environment = {
        "BENCH_REDIS_URL": url,
        "BENCH_PEPPER": stage.PEPPER,
        "BENCH_MODE": mode,
        "BENCH_TIER": "standard",
        "DJANGO_SETTINGS_MODULE": "bench.site.settings",
    }
    with ExitStack() as stack:
        wanted = (served("bench.site.wsgi:application", "wsgi", environment, threads=8) for _ in range(PROCESSES))
        yield [stack.enter_context(each)[0] for each in wanted]


async def rush(targets: list[str], text: bytes) -> int:
    """All clients at once, over all processes; the number of 200s."""
    gate = asyncio.Event()
    left = iter(range(CALLS))

    async def client(number: int) -> int:
        host, port = targets[number % len(targets)].removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        await gate.wait()
        admitted = 0
        for _ in left:
            writer.write(b"GET /api/v1/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n" % text)
            head = await reader.readuntil(b"\r\n\r\n")
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            await reader.readexactly(int(lengths[0].split(b":")[1]) if lengths else 0)
            admitted += head.startswith(b"HTTP/1.1 200")
        writer.close()
        return admitted

    clients = [asyncio.create_task(client(number)) for number in range(CLIENTS)]
    await asyncio.sleep(0.2)
    gate.set()
    return sum(await asyncio.gather(*clients))


def _away_from_a_minutes_edge() -> None:
    """Peers with fixed windows would get two minutes' worth there, which is another fault than the one measured."""
    while time.time() % 60 > 45:
        time.sleep(0.5)
