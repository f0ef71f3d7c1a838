"""What a run learned, as JSON and back: how a node without database reports it, and keeps it on its disk until then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from math import isfinite
from typing import Any
from uuid import UUID

from metering.attribution.coverage import Sighting
from metering.models.collector import CollectorState

from .base import Collected, CollectedEvent, DeviceReading, Gap, UnattributedTime
from .using import DeviceUse, HolderUse

VERSION = 1


class ReportError(ValueError):
    """What came is no report."""


@dataclass(frozen=True, slots=True)
class Report:
    """One run of one collector. `at` is when it began; it grows from report to report, and is what makes a report the same."""

    at: datetime
    kind: str
    meter: str
    interval_seconds: int
    duration_ms: int
    collected: Collected


def dump(report: Report) -> dict[str, Any]:
    """JSON values."""
    found = report.collected
    return {
        "version": VERSION,
        "at": report.at.isoformat(),
        "kind": report.kind,
        "meter": report.meter,
        "interval_seconds": report.interval_seconds,
        "duration_ms": report.duration_ms,
        "state": str(found.state),
        "detail": found.detail,
        "readings": dict(found.readings),
        "covered": sorted(found.covered),
        **{name: [_plain(each) for each in getattr(found, name)] for name in _LISTS},
    }


def load(document: Any) -> Report:
    """The report of a document. Raises ReportError, naming the member that is wrong."""
    if not isinstance(document, Mapping) or document.get("version") != VERSION:
        raise ReportError(f"`version` is not {VERSION}.")
    try:
        lists: dict[str, Any] = {
            name: tuple(_built(kind, each) for each in document.get(name, ())) for name, kind in _LISTS.items()
        }
        return Report(
            at=_instant(document["at"]),
            kind=_text(document["kind"], 20),
            meter=_text(document["meter"], 40),
            interval_seconds=_count(document["interval_seconds"]),
            duration_ms=_count(document["duration_ms"]),
            collected=Collected(
                state=CollectorState(document["state"]),
                detail=_text(document.get("detail", ""), 300),
                readings=_object(document.get("readings", {})),
                covered=frozenset(_text(each, 300) for each in document.get("covered", ())),
                **lists,
            ),
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError) as error:
        raise ReportError(f"This is no report: {type(error).__name__} {error}"[:300]) from None


# ------------------------------------------------------------------------------------------------------------------ members

_LISTS: dict[str, type[Any]] = {
    "events": CollectedEvent,
    "gaps": Gap,
    "devices": DeviceReading,
    "unattributed": UnattributedTime,
    "sightings": Sighting,
    "device_uses": DeviceUse,
    "holder_uses": HolderUse,
}
_INSTANTS = frozenset({"time", "starts_at", "ends_at", "hour", "at"})
_FRACTIONS = frozenset({"fraction", "gpus"})
_NUMBERS = frozenset({"quantity_micro", "micro_seconds", "samples", "index"})


def _plain(each: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in asdict(each).items():
        if isinstance(value, datetime):
            value = value.isoformat()
        elif isinstance(value, Fraction):
            value = str(value)
        found[name] = value
    return found


def _built(kind: type[Any], given: Any) -> Any:
    if not isinstance(given, Mapping):
        raise TypeError(f"{kind.__name__} is not an object")
    values = dict(given)
    for name, value in values.items():
        values[name] = _member(name, value)
    return kind(**values)


def _member(name: str, value: Any) -> Any:
    if name in _INSTANTS:
        return None if value is None and name != "hour" else _instant(value)
    if name in _FRACTIONS:
        return Fraction(_text(value, 60))
    if name in _NUMBERS:
        return _count(value)
    if (known := _OTHERS.get(name)) is not None:
        return known(value)
    if name.endswith(("_seconds", "_joules", "_bytes", "_celsius")):
        return _amount(name, value)
    return value if value is None or isinstance(value, bool) else _text(value, 300)


def _amount(name: str, value: Any) -> float | None:
    found = _number(value)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float) or found < 0:
        raise ValueError(f"{name} is not a number from 0")
    return int(found) if name.endswith("_bytes") else found


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("not true or false")
    return value


def _instant(value: Any) -> datetime:
    found = datetime.fromisoformat(value)
    if found.tzinfo is None:
        raise ValueError("a time without its zone")
    return found.astimezone(UTC)


def _text(value: Any, most: int) -> str:
    if not isinstance(value, str) or len(value) > most or "\0" in value:
        raise ValueError(f"not a text of up to {most} characters")
    return value


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("not a whole number from 0")
    return value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError("not an object")
    return {name: _number(member) for name, member in value.items()}


def _number(value: Any) -> Any:
    """The API reads every number with a point as a Decimal, which no JSON column takes: measurements become floats again."""
    if isinstance(value, Mapping):
        return _object(value)
    if isinstance(value, list):
        return [_number(each) for each in value]
    if not isinstance(value, Decimal):
        return value
    found = float(value)
    if not isfinite(found):
        raise ValueError("a number that is too large")
    return found


_OTHERS: dict[str, Callable[[Any], Any]] = {
    "state": CollectorState,
    "reservation": lambda value: str(UUID(_text(value, 40))),
    "mig_enabled": _flag,
    "dims": _object,
    "readings": _object,
    "holders": lambda value: tuple(_object(each) for each in value),
    "processes": lambda value: tuple(_text(each, 300) for each in value),
}
