"""What the ledger takes and gives. No database here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

Identity = tuple[str, str]
"""(source, id) of an event; with its tenant it is unique for ever."""


@dataclass(slots=True)
class ParsedEvent:
    """A well-formed event. `quantity_micro` is in micro base units of the meter; `time` is UTC; `dims_json` is canonical."""

    source: str
    id: str
    meter: str
    time: datetime
    time_text: str
    quantity_micro: int
    dims_json: str
    corrects: Identity | None
    fingerprint: str


@dataclass(slots=True)
class Original:
    """An event of the ledger as it stands now, corrections included: `net_micro` in micro base units."""

    time: datetime
    meter: str
    dims_json: str
    is_correction: bool
    net_micro: int


class LedgerEvent(NamedTuple):
    """An event as it was booked. `seq` orders events of the same instant; `quantity_micro` is in micro base units, signed in corrections."""

    time: datetime
    seq: int
    meter: str
    source: str
    event_id: str
    quantity_micro: int
    dims_json: str
    corrects_source: str | None
    corrects_id: str | None
    received_at: datetime

    @property
    def dims(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.dims_json)
        return found


class TouchedHour(NamedTuple):
    """An hour of a meter to be summed up, from `start` up to `end` (aware UTC)."""

    meter: str
    start: datetime
    end: datetime


class Month(NamedTuple):
    """A month (UTC, 'YYYYMM') of the ledger in its engine: about how many rows and bytes."""

    key: str
    rows: int
    bytes: int


class Relation(NamedTuple):
    """A part of a PostgreSQL statement and the parameters that it names."""

    sql: str
    params: dict[str, Any]


def canonical_json(value: Any) -> str:
    """JSON in one form: sorted keys, no spaces."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def columns(identities: Any) -> list[list[str]]:
    """The identities as two arrays, for unnest()."""
    pairs = list(identities)
    return [[source for source, _ in pairs], [event_id for _, event_id in pairs]]
