"""settings.COLLECTORS: a list of objects, each with `name`, `kind` and the fields of its kind. See docs/collectors.md.

Every problem is found here and told by the system checks; what has none can be built.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metering.attribution.coverage import Reserved
from metering.attribution.policy import Assigned
from metering.attribution.steps import Rule

from .base import Collector
from .gpus.amd import AmdCollector
from .gpus.nvml import NvmlCollector
from .gpus.rolling import rolled
from .series.prometheus import PrometheusCollector
from .storage.buckets import S3Collector
from .storage.databases import PostgresCollector
from .storage.filesystem import FilesystemCollector

NAME = re.compile(r"^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?\Z")
OF_GPUS = frozenset({"nvml", "amd", "prometheus"})
"""Kinds that know devices, and tell gaps of their own for the time in which they did not run."""
VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with one collector's configuration: `number` of the system check, what, and what to do."""

    number: int
    text: str
    hint: str


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a kind's configuration. `check` answers what is wrong with a value, or ""."""

    check: Any
    required: bool = False


def _seconds(least: int, most: int) -> Field:
    def check(value: Any) -> str:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return "" if whole and least <= value <= most else f"is not a whole number of seconds from {least} to {most}"

    return Field(check)


def _absolute(value: Any) -> str:
    return "" if isinstance(value, str) and value.startswith("/") and "\0" not in value else "is not an absolute path"


def _one_of(*choices: Any) -> Field:
    return Field(
        lambda value: "" if value in choices else "is not one of " + ", ".join(str(choice) for choice in choices)
    )


def _names(value: Any) -> str:
    good = isinstance(value, dict) and all(isinstance(short, str) and 0 < len(short) <= 40 for short in value.values())
    return "" if good else 'is not an object such as {"NVIDIA H100 80GB HBM3": "H100"}'


COMMON: dict[str, Field] = {
    "name": Field(
        lambda value: (
            "" if isinstance(value, str) and NAME.match(value) else "is not up to 40 small letters, digits and hyphens"
        ),
        True,
    ),
    "kind": Field(
        lambda value: "" if isinstance(value, str) and value in KINDS else f"is not one of {', '.join(KINDS)}", True
    ),
    "node": Field(lambda value: "" if isinstance(value, str) and 0 < len(value) <= 120 else "is not a host's name"),
    "interval": _seconds(5, 86_400),
    "timeout": _seconds(1, 500),
}


def _slugs(value: Any) -> str:
    good = isinstance(value, dict) and all(isinstance(slug, str) and slug for slug in value.values())
    return "" if good and value else 'is not an object such as {"acme-data": "acme"}'


def _slugs_below(value: Any) -> str:
    good = isinstance(value, dict) and value and all(_slugs(each) == "" for each in value.values())
    return "" if good else 'is not an object such as {"warehouse": {"acme": "acme"}}'


def _address(value: Any) -> str:
    return "" if isinstance(value, str) and re.match(r"https?://[^\s/]", value) else "is not an http(s) address"


def _texts(value: Any) -> str:
    good = isinstance(value, dict) and all(isinstance(each, str) and each for each in value.values())
    return "" if good else "is not an object of texts"


def _line(most: int) -> Field:
    return Field(
        lambda value: (
            "" if isinstance(value, str) and 0 < len(value) <= most else f"is not a text of up to {most} characters"
        )
    )


def _selector(value: Any) -> str:
    good = isinstance(value, str) and re.match(r"^([a-zA-Z_:][\w:]*)?(\{[^}]*\})?\Z", value) and value
    return "" if good else 'is not a plain series selector such as DCGM_FI_DEV_GPU_UTIL{namespace!=""}'


_DEVICES: dict[str, Field] = {
    "max_gap": _seconds(5, 86_400),
    "sample_every": _seconds(1, 3_600),
    "environment": Field(
        lambda value: (
            "" if value == "" or (isinstance(value, str) and VARIABLE.match(value)) else "is not the name of a variable"
        )
    ),
    "proc": Field(_absolute),
    "models": Field(_names),
}
KINDS: dict[str, dict[str, Field]] = {
    "nvml": _DEVICES,
    "amd": _DEVICES | {"library": Field(_absolute)},
    "prometheus": {
        "url": Field(_address, True),
        "selector": Field(_selector, True),
        "measure": _one_of("held", "integral", "increase", "level"),
        "event_type": _line(40),
        "tenant_label": _line(100),
        "reservation_label": _line(100),
        "job_label": _line(100),
        "mapping": Field(_slugs),
        "device_label": _line(100),
        "model_label": _line(100),
        "dims": Field(_texts),
        "scale": Field(
            lambda value: (
                "" if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e18 else "is not a number above 0"
            )
        ),
        "up": Field(_selector),
        "devices": _one_of(True, False),
        "models": Field(_names),
        "token_file": Field(_absolute),
        "max_gap": _seconds(1, 3_600),
        "lag": _seconds(0, 3_600),
    },
    "filesystem": {
        "root": Field(_absolute, True),
        "volume": _line(80),
        "measure": _one_of("allocated", "apparent"),
        "require_mount": _one_of(True, False),
        "entries_per_second": Field(
            lambda value: (
                "" if isinstance(value, int) and not isinstance(value, bool) and value > 0 else "is not a whole number above 0"
            )
        ),
    },
    "s3": {
        "buckets": Field(_slugs, True),
        "endpoint": Field(_address),
        "region": _line(60),
        "profile": _line(60),
        "versions": _one_of(True, False),
        "multipart": _one_of(True, False),
        "inventory": Field(_texts),
        "stale_after": _seconds(3_600, 31_536_000),
        "request_timeout": _seconds(1, 120),
    },
    "postgresql": {
        "dsn_file": Field(_absolute, True),
        "databases": Field(_slugs),
        "schemas": Field(_slugs_below),
    },
}  # fmt: skip


def problems(configured: Any) -> Iterator[Problem]:
    """What is wrong with the entries of settings.COLLECTORS, in their order.

    That it is a list of objects with a name each, none twice, is portal.E012's to say; entries without them are passed over here.
    """
    for position, entry in enumerate(configured if isinstance(configured, list) else [], 1):
        if isinstance(entry, dict) and isinstance(entry.get("name"), str) and isinstance(entry.get("kind"), str):
            yield from entry_problems(entry, f"COLLECTORS entry {position}")


def entry_problems(entry: Mapping[str, Any], where: str = "the collector") -> Iterator[Problem]:
    """What is wrong with one entry."""
    kind = entry.get("kind")
    fields = COMMON | (KINDS.get(kind, {}) if isinstance(kind, str) else {})
    for name, field in fields.items():
        if name not in entry:
            if field.required:
                yield Problem(
                    1, f"{where} has no {name!r}.", f"Add {name!r}; docs/collectors.md lists the fields of every kind."
                )
        elif wrong := field.check(entry[name]):
            yield Problem(
                1,
                f"{where}: {name} = {entry[name]!r} {wrong}.",
                "Correct the value; docs/collectors.md lists the fields.",
            )
    if isinstance(kind, str) and kind in KINDS:
        for name in sorted(set(entry) - set(fields)):
            yield Problem(
                2,
                f"{where} has the unknown field {name!r}.",
                f"Remove it. The fields are: {', '.join(sorted(fields))}.",
            )


def build(
    entry: Mapping[str, Any],
    *,
    node: str,
    tenants: Collection[str],
    assigned: Sequence[Assigned],
    memory: Mapping[str, Any],
    reserved: Sequence[Reserved] = (),
    rules: Sequence[Rule] = (),
) -> Collector:
    """The collector of a configuration that has no problems."""
    given = {_RENAMED.get(name, name): value for name, value in entry.items() if name not in {"kind", "node"}}
    given |= {name: Path(given[name]) for name in ("root", "proc", "dsn_file") if name in given}
    given |= {"node": node, "tenants": tenants, "memory": memory}
    match entry["kind"]:
        case "filesystem":
            return FilesystemCollector(**given)
        case "s3":
            return S3Collector(**given)
        case "postgresql":
            return PostgresCollector(**given)
        case "prometheus":
            return PrometheusCollector(**given, assigned=assigned, reserved=reserved, rules=rules)
    if "max_gap_seconds" not in given and "interval_seconds" in given:
        given["max_gap_seconds"] = 3 * given["interval_seconds"]
    kind = AmdCollector if entry["kind"] == "amd" else NvmlCollector
    return rolled(kind(**given, assigned=assigned, reserved=reserved, rules=rules))


_RENAMED = {
    name: f"{name}_seconds"
    for name in ("interval", "timeout", "max_gap", "sample_every", "lag", "stale_after", "request_timeout")
}


def interval_of(entry: Mapping[str, Any]) -> int:
    """Seconds between two runs of a configuration that has no problems."""
    return build(entry, node="", tenants=(), assigned=(), memory={}).interval_seconds
