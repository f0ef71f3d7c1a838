"""`make bench`: run the benchmark modules, print their reports, keep the numbers, fail when a goal is missed."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import bench
from bench.report import Report

RESULTS = Path(__file__).resolve().parent.parent / ".data" / "bench" / "latest.json"


def modules(words: list[str]) -> list[ModuleType]:
    """The modules that have NAME, GOALS and run(), and whose name contains one of the words (all without words)."""
    found = []
    for info in pkgutil.iter_modules(bench.__path__):
        if not words or any(word in info.name for word in words):
            source = Path(bench.__path__[0], f"{info.name}.py")
            if source.exists() and "\nNAME = " in source.read_text():
                found.append(importlib.import_module(f"bench.{info.name}"))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("words", nargs="*", help="run only modules whose name contains one of these")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    arguments = parser.parse_args()
    reports = []
    for module in modules(arguments.words):
        report = Report(module.NAME, module.GOALS, quick=arguments.quick)
        print(f"== {module.NAME}", file=sys.stderr, flush=True)
        load, cores = os.getloadavg()[0], os.cpu_count() or 1
        if load > cores / 2:
            report.note(
                f"the machine was busy before this began (load {load:.1f} on {cores} cores): do not trust it, run it alone"
            )
        module.run(report)
        print(report.text(), flush=True)
        reports.append(report)
    _keep(reports)
    missed = [name for report in reports for name in report.missed()]
    print(f"\n{len(missed)} goals missed: {', '.join(missed)}" if missed else "\nAll goals met.")
    return 1 if missed else 0


def _keep(reports: list[Report]) -> None:
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    results = {report.name: {"rows": report.rows, "values": report.values, "notes": report.notes} for report in reports}
    content = {"at": datetime.now(UTC).isoformat(), "machine": machine, "results": results}
    RESULTS.write_text(json.dumps(content, indent=1))
    print(f"\nKept in {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}")


if __name__ == "__main__":
    sys.exit(main())
