"""settings.COLLECTORS: a list of objects, each with `name`, `kind` and the fields of its kind. See docs/operations.md.

Every problem is found here and told by the system checks; what has none can be built.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metering.attribution import Assigned
from metering.coverage import Reserved

from .base import Collector
from .filesystem import FilesystemCollector
from .nvml import NvmlCollector

NAME = re.compile(r"^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?\Z")
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
KINDS: dict[str, dict[str, Field]] = {
    "nvml": {
        "max_gap": _seconds(5, 86_400),
        "environment": Field(
            lambda value: (
                ""
                if value == "" or (isinstance(value, str) and VARIABLE.match(value))
                else "is not the name of a variable"
            )
        ),
        "proc": Field(_absolute),
        "models": Field(_names),
    },
    "filesystem": {
        "root": Field(_absolute, True),
        "volume": Field(
            lambda value: (
                "" if isinstance(value, str) and 0 < len(value) <= 80 else "is not a name of up to 80 characters"
            )
        ),
        "measure": _one_of("allocated", "apparent"),
        "require_mount": _one_of(True, False),
    },
}


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
                    1, f"{where} has no {name!r}.", f"Add {name!r}; docs/operations.md lists the fields of every kind."
                )
        elif wrong := field.check(entry[name]):
            yield Problem(
                1,
                f"{where}: {name} = {entry[name]!r} {wrong}.",
                "Correct the value; docs/operations.md lists the fields.",
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
) -> Collector:
    """The collector of a configuration that has no problems."""
    renamed = {"interval": "interval_seconds", "timeout": "timeout_seconds", "max_gap": "max_gap_seconds"}
    given = {renamed.get(name, name): value for name, value in entry.items() if name not in {"kind", "node"}}
    given |= {name: Path(given[name]) for name in ("root", "proc") if name in given}
    if entry["kind"] == "filesystem":
        return FilesystemCollector(**given, node=node, tenants=tenants, memory=memory)
    if "max_gap_seconds" not in given and "interval_seconds" in given:
        given["max_gap_seconds"] = 3 * given["interval_seconds"]
    return NvmlCollector(**given, node=node, tenants=tenants, assigned=assigned, reserved=reserved, memory=memory)
