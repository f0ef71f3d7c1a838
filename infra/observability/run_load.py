"""What `make load` runs on the started platform: Locust, then k6, then docs/load-results.md from what both measured.

LOAD_SECONDS (60) each, LOAD_USERS (24) of Locust on LOAD_WORKERS (2; 0 is one process without a master), LOAD_VUS (2) in each of k6's
scenarios, LOAD_RESULTS the file. Status 1 when an objective is missed, 2 when a setting cannot be (`--check` looks at nothing else).
"""

from __future__ import annotations

import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BIN = Path(sys.executable).parent
LEAVE_SECONDS = 60
STOPPED = 130
MOST = 1_000_000


class Settings(NamedTuple):
    """What the environment says of a run."""

    seconds: int
    users: int
    workers: int
    vus: int
    results: Path


def settings(given: Mapping[str, str]) -> Settings:
    """Raises ValueError, whose text says what to change."""
    results = Path(given.get("LOAD_RESULTS") or ROOT / "docs" / "load-results.md").absolute()
    if results.is_dir() or not os.access(results if results.exists() else results.parent, os.W_OK):
        raise ValueError(f"LOAD_RESULTS={results} cannot be written: name a file in a folder that is there and yours.")
    numbers = (("LOAD_SECONDS", 60, 1), ("LOAD_USERS", 24, 2), ("LOAD_WORKERS", 2, 0), ("LOAD_VUS", 2, 1))
    return Settings(*(_number(given, *each) for each in numbers), results)


def _number(given: Mapping[str, str], name: str, default: int, least: int) -> int:
    text = given.get(name) or str(default)
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(MOST))) or not least <= int(text) <= MOST:
        raise ValueError(f"{name}={text!r} is no number from {least} to {MOST:,}.")
    return int(text)


def main() -> int:
    """The exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):  # by the way that ends what was started, too
        signal.signal(number, lambda *_: sys.exit(STOPPED))
    try:
        wanted = settings(os.environ)
    except ValueError as error:
        print(f"load: {error}", file=sys.stderr)
        return 2
    if "--check" in sys.argv[1:]:
        return 0
    gateway = os.environ["PLATFORM_GATEWAY_URL"]
    busy = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.json" for name in ("locust", "k6")}
        given = {
            "GATEWAY_URL": gateway,
            "PLATFORM_LOGINS": os.environ["PLATFORM_LOGINS"],
            "LOAD_SECONDS": wanted.seconds,
            "VUS": wanted.vus,
            "K6_SUMMARY": files["k6"],
        }
        k6 = [
            str(BIN / "k6"),
            "run",
            "--quiet",
            "--no-usage-report",
            *_as_options(given),
            str(HERE / "k6_load_test.js"),
        ]
        statuses = [
            locust(
                gateway,
                *("--users", str(wanted.users), "--spawn-rate", "2", "--run-time", f"{wanted.seconds}s"),
                summary=files["locust"],
                workers=wanted.workers,
            ),
            subprocess.run(k6, cwd=ROOT, check=False).returncode,
        ]
        found = {name: json.loads(path.read_text()) if path.exists() else {} for name, path in files.items()}
    text = document(found["locust"], found["k6"], seconds=wanted.seconds, users=wanted.users, busy=busy)
    wanted.results.write_text(text, encoding="utf-8")
    print(f"\n{wanted.results} is written; Locust ended with status {statuses[0]}, k6 with {statuses[1]}.")
    return 0 if statuses == [0, 0] and all(each.get("slo_met") for each in found.values()) else 1


def _as_options(given: Mapping[str, Any]) -> list[str]:
    return [word for name, value in given.items() for word in ("-e", f"{name}={value}")]


def locust(
    gateway: str, *options: str, summary: Path, workers: int, environment: Mapping[str, str] | None = None
) -> int:
    """Run Locust against `gateway` to its end, as one process (0 workers), or as a master with so many workers. The exit status: 1 when an
    objective is missed; a worker that ends badly, or does not end, is worth 1, too."""
    program = [str(BIN / "locust"), "-f", str(HERE / "load_test.py")]
    judge = [*program, "--host", gateway, "--headless", "--only-summary", "--summary", str(summary), *options]
    if not workers:
        return subprocess.run(judge, cwd=ROOT, env=environment, check=False).returncode
    port = str(_free_port())
    judge += ["--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port]
    judge += ["--expect-workers", str(workers), "--expect-workers-max-wait", "120"]
    work = [*program, "--worker", "--master-host", "127.0.0.1", "--master-port", port]
    master = subprocess.Popen(judge, cwd=ROOT, env=environment)
    hands = [subprocess.Popen(work, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) for _ in range(workers)]
    try:
        status = master.wait()
        ended = [_left(hand) for hand in hands]
    finally:
        for process in (master, *hands):
            if process.poll() is None:
                process.kill()
                process.wait()
    return status or int(any(ended))


def _left(worker: subprocess.Popen[bytes]) -> int:
    """How a worker ended whose master is no more; one that does not leave by itself ended badly."""
    try:
        return worker.wait(LEAVE_SECONDS)
    except subprocess.TimeoutExpired:
        return 1


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def document(locust: dict[str, Any], k6: dict[str, Any], *, seconds: int, users: int, busy: float) -> str:
    """The page."""
    slow = os.environ.get("PLATFORM_SLOW_MS", "0")
    lines = [
        "# Results of the load tests",
        "",
        "Written by `make load`; see [the platform](platform.md#load-tests) for what is run and how to read it.",
        "",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores ({platform.machine()}) shared by the portal's demo, the four services, their worker"
        f" and the load itself (load average before it began: {busy:.1f}); {seconds} s each." + (f" **The fault switch delayed every service by {slow} ms.**" if slow != "0" else ""),
        "",
        *_locust(locust, users),
        *_k6(k6),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _locust(found: dict[str, Any], users: int) -> list[str]:
    if not found:
        return ["## Locust", "", "It did not end by itself: there is no summary.", ""]
    within = max(found["within_limits"]["requests"], 1)
    deliberate = found["refused_on_purpose"]
    lines = [
        "## Locust", "",
        f"{users} users{_spread(found)}, {found['requests']} requests ({found['requests_per_second']} a second), {found['errors']} errors.",
        f"429 share: {found['refused'] / within:.2%} for tenants within their limits, by whose requests the objectives are judged; the user of the"
        f" tenant over its limit got {deliberate} refusals on purpose. {found['broken_refusals']} refusals were against the contract, {found['let_through']} calls far over the limit were let through.", "",
        "| request | requests | errors | p50 ms | p95 ms | p99 ms |", "|---|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    for row in [*found["routes"], {**found["within_limits"], "name": "**all within the limits**"}]:
        times = " | ".join(f"{row[name]:.0f}" if row[name] is not None else "–" for name in ("p50", "p95", "p99"))
        lines.append(f"| {row['name']} | {row['requests']} | {row['errors']} | {times} |")
    return [*lines, "", *_objectives(found)]


def _spread(found: dict[str, Any]) -> str:
    return f" on a master and {found['workers']} workers" if found["workers"] else ""


def _k6(found: dict[str, Any]) -> list[str]:
    if not found:
        return ["## k6", "", "It did not end by itself: there is no summary.", ""]
    metrics = found["metrics"]
    requests = metrics["http_reqs"]["values"]
    failed, limited = (metrics.get(name, {}).get("values", {}) for name in ("http_req_failed", "rate_limited"))
    lines = [
        "## k6", "",
        f"{requests['count']} requests ({requests['rate']:.1f} a second) in {found['seconds']:.0f} s, {failed.get('passes', 0)} errors,"
        f" 429 share {limited.get('rate', 0):.2%}.", "",
        "| metric | median ms | p95 ms | p99 ms | largest ms |", "|---|---:|---:|---:|---:|",
    ]  # fmt: skip
    for name in sorted(name for name, each in metrics.items() if each["type"] == "trend"):
        if name.startswith("http_req_duration") or name in ("search_latency", "ml_latency"):
            values = metrics[name]["values"]
            lines.append(f"| {name} | " + " | ".join(f"{values[key]:.1f}" for key in ("med", "p(95)", "p(99)", "max")) + " |")  # fmt: skip
    return [*lines, "", *_objectives(found)]


def _objectives(found: dict[str, Any]) -> list[str]:
    lines = ["| objective | target | seen | |", "|---|---|---:|---|"]
    for each in found["slo"]:
        target = each["target"] if isinstance(each["target"], str) else f"below {each['target']:g} {each['unit']}"
        lines.append(f"| {each['name']} | {target} | {each['actual']} | {'met' if each['met'] else '**missed**'} |")
    return [*lines, "", f"Objectives {'met' if found['slo_met'] else '**missed**'}.", ""]


if __name__ == "__main__":
    sys.exit(main())
