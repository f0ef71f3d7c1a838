"""Driving servers: granian in front of our applications, wrk (or a small client of our own) and redis-benchmark as load."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from portal.embedded import free_port

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Load:
    """What a load run saw. Latencies in microseconds."""

    per_second: float
    p50: float
    p99: float
    refused: int
    """How many were not answered with 200, or not at all."""


@contextmanager
def apart() -> Iterator[set[int]]:
    """Within the block this process, and what it starts, keeps off one core, which is yielded for what is to be measured: nobody else's
    work on it is taken for its own. On a single core, or where the system cannot do it, everything shares (an empty set)."""
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else set()
    if len(cores) < 2:
        yield set()
        return
    measured = {max(cores)}
    os.sched_setaffinity(0, cores - measured)
    try:
        yield measured
    finally:
        os.sched_setaffinity(0, cores)


@contextmanager
def served(
    application: str, interface: str, environment: dict[str, str], *, threads: int = 1, cores: Set[int] = frozenset()
) -> Iterator[tuple[str, int]]:
    """One granian worker with the application, on `cores` when given; yields its URL and process id."""
    port = free_port()
    command = [
        sys.executable, "-m", "granian", "--interface", interface, "--workers", "1", "--port", str(port), "--host", "127.0.0.1",
        "--no-ws", "--log-level", "error", application,
    ]  # fmt: skip
    command[3:3] = ["--blocking-threads", str(threads)] if interface == "wsgi" else ["--loop", "uvloop"]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment})
    if cores:
        os.sched_setaffinity(process.pid, cores)  # before it has started its worker, which inherits them
    try:
        _wait(f"http://127.0.0.1:{port}/x")
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        children = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        process.wait(10)
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()


def _wait(url: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=1).read()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"the server at {url} did not start")


def http_load(url: str, texts: Sequence[bytes], *, connections: int, seconds: float) -> Load:
    """GET `url` with a key each, keys in turn, over so many connections."""
    if shutil.which("wrk"):
        return _wrk(url, texts, connections, seconds)
    return asyncio.run(_own_client(url, texts, connections, seconds))


def client_name() -> str:
    return "wrk" if shutil.which("wrk") else "our own asyncio client (wrk is not installed)"


def _wrk(url: str, texts: Sequence[bytes], connections: int, seconds: float) -> Load:
    keys = ",".join(f'"Bearer {text.decode()}"' for text in texts)
    script = (
        f"local keys = {{{keys}}}\nlocal n = 0\n"
        "request = function() n = n % #keys + 1\n  return wrk.format('GET', nil, {Authorization = keys[n]}) end\n"
    )
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as handle:
        handle.write(script)
        handle.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", handle.name, url]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    per_second = float(_find(r"Requests/sec:\s+([\d.]+)", text))
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    unanswered = sum(map(int, broken.groups())) if broken else 0
    return Load(
        per_second, _latency("50", text), _latency("99", text), (int(refused[1]) if refused else 0) + unanswered
    )


def _latency(percentile: str, text: str) -> float:
    match = re.search(rf"{percentile}%\s+([\d.]+)(us|ms|s)", text)
    assert match
    return float(match[1]) * {"us": 1, "ms": 1e3, "s": 1e6}[match[2]]


def _find(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match, text
    return match[1]


async def _own_client(url: str, texts: Sequence[bytes], connections: int, seconds: float) -> Load:
    host, port, path = re.fullmatch(r"http://([^:/]+):(\d+)(/.*)", url).groups()  # type: ignore[union-attr]
    took: list[float] = []
    refused = 0
    ends = time.monotonic() + seconds

    async def work(number: int) -> None:
        nonlocal refused
        reader, writer = await asyncio.open_connection(host, int(port))
        while time.monotonic() < ends:
            number = (number + connections) % len(texts)
            started = time.perf_counter()
            writer.write(
                b"GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n" % (path.encode(), texts[number])
            )
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head.lower())
            await reader.readexactly(int(length[1]) if length else 0)
            took.append(time.perf_counter() - started)
            refused += not head.startswith(b"HTTP/1.1 200")
        writer.close()

    await asyncio.gather(*(work(number) for number in range(connections)))
    took.sort()
    return Load(len(took) / seconds, took[len(took) // 2] * 1e6, took[int(len(took) * 0.99)] * 1e6, refused)


def redis_benchmark(
    path: str, words: Sequence[str | bytes], *, clients: int, requests: int, pipeline: int = 1
) -> float:
    """Requests a second of one command through redis-benchmark on a unix socket."""
    program = benchmark_program()
    assert program
    command = [
        program,
        "-s",
        path,
        "-c",
        str(clients),
        "-n",
        str(requests),
        "-P",
        str(pipeline),
        "-r",
        "10000",
        "-q",
        "--csv",
    ]
    text = subprocess.run([*command, *words], capture_output=True, check=True).stdout.decode(errors="replace")
    return float(text.strip().splitlines()[-1].split('","')[1].strip('"'))


def benchmark_program() -> str | None:
    """redis-benchmark (Debian: redis-tools) or valkey-benchmark, when installed."""
    return shutil.which("redis-benchmark") or shutil.which("valkey-benchmark")
