"""From a CloudEvents 1.0 JSON object to a ledger entry, strictly. No database here.

    {"specversion": "1.0", "id": "job-17", "source": "/cluster/eu1", "type": "gpu_hours", "time": "2026-07-15T12:00:00Z",
     "data": {"quantity": "0.5", "model": "H100", "project": "mammo"}}

`type` names a meter's event type. `data.quantity` is the amount in the type's unit; the other members of `data` are dimensions.
`data.corrects` = {"source", "id"} makes the event a correction: a signed amount that is added to the event it names.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Any, NamedTuple

from metering.event_store.entries import ParsedEvent, canonical_json
from metering.money import MoneyError, parse_decimal

MAX_TEXT = 200
MAX_DIMENSIONS = 16
MAX_DIMENSION_TEXT = 120
MAX_DISPLAY_UNITS = 10**9
"""No single event is larger than this many display units (calls, hours, GB): a slip of a unit must not poison a month's sum."""
OLDEST = timedelta(days=35)
AHEAD = timedelta(minutes=5)

MICRO = 10**6
_MAX_DIGITS = 30
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:[Zz]|([+-])[0-9]{2}:[0-9]{2})?"
)
_DIMENSION = re.compile(r"[a-z][a-z0-9_]{0,39}")
_JSON_TYPE = re.compile(r"application/(?:[a-z0-9.+-]+\+)?json(?:;.*)?", re.IGNORECASE)
_NOT_DIMENSIONS = frozenset({"quantity", "corrects", "tenant"})


class EventError(ValueError):
    """An event that cannot be booked: a stable `code`, and a sentence that says what to change."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class EventType(NamedTuple):
    """What an event's `type` means: one of its units is `factor` base units of `meter`."""

    meter: str
    factor: int
    display_factor: int


class EventParser:
    """Parses the events of one batch for the tenant with that slug; it remembers dimensions, which repeat."""

    def __init__(self, types: Mapping[str, EventType], slug: str) -> None:
        self.types = types
        self.slug = slug
        self._dims: dict[tuple[tuple[str, str], ...], str] = {}

    def parse(self, event: Any) -> ParsedEvent:
        """The ledger entry that a CloudEvent asks for. Raises EventError.

        Two events are the same when meter, time, quantity, dimensions and correction are, however they are written ("1" and 1.0, Z
        and +00:00): then their fingerprints are equal.
        """
        if type(event) is not dict and not isinstance(event, Mapping):
            raise EventError("invalid_event", "An event is a JSON object.")
        source, event_id = _text(event, "source"), _text(event, "id")
        data = _data(event, self.slug)
        try:
            kind = self.types[event["type"]]
        except (KeyError, TypeError):
            raise EventError("unknown_meter", f"`type` is one of {', '.join(sorted(self.types))}.") from None
        time = _time(event.get("time"))
        corrects = _corrects(data["corrects"]) if "corrects" in data else None
        micro = _quantity(data.get("quantity"), kind, corrects is not None)
        dims = self._dimensions(data)
        text = time.isoformat()
        content = f"{kind.meter}\n{text}\n{micro}\n{dims}\n{corrects or ''}"
        return ParsedEvent(source, event_id, kind.meter, time, text, micro, dims, corrects, fingerprint(content))

    def _dimensions(self, data: Mapping[str, Any]) -> str:
        items = tuple([item for item in data.items() if item[0] not in _NOT_DIMENSIONS])
        if not items:
            return "{}"
        # True == 1 == 1.0 as a key, so only texts are remembered. (A list is twice as fast as a generator here.)
        texts_only = all([type(value) is str for _, value in items])  # noqa: C419
        known = self._dims.get(items) if texts_only else None
        if known is None:
            known = _canonical_dimensions(items)
            if texts_only:
                self._dims[items] = known
        return known


def unknown_payload(event: Mapping[str, Any], slug: str) -> dict[str, Any] | None:
    """An event of a type that no meter has, as JSON values for the quarantine; None where more than its type is wrong with it.

    `parse` takes what `unknown_event` makes of it as soon as a meter has the type.
    """
    name = event.get("type")
    if not isinstance(name, str) or not 0 < len(name) <= MAX_TEXT or not name.isprintable():
        return None
    try:
        parsed = EventParser({name: EventType(name, 1, 1)}, slug).parse(event)
    except EventError:
        return None
    return {
        "type": name,
        "time": parsed.time_text,
        "quantity": str(event["data"]["quantity"]),
        "dims": json.loads(parsed.dims_json),
        "corrects": parsed.corrects,
    }


def unknown_event(source: str, event_id: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The event that `unknown_payload` wrote down."""
    data = {**payload["dims"], "quantity": payload["quantity"]}
    if payload["corrects"]:
        data["corrects"] = {"source": payload["corrects"][0], "id": payload["corrects"][1]}
    known = {"specversion": "1.0", "source": source, "id": event_id, "type": payload["type"], "time": payload["time"]}
    return {**known, "data": data}


def fingerprint(content: str) -> str:
    """32 hex digits that tell one content from another."""
    return blake2b(content.encode(), digest_size=16).hexdigest()


def to_payload(event: ParsedEvent) -> dict[str, Any]:
    """The event as JSON values, for the quarantine."""
    return {
        "meter": event.meter,
        "time": event.time_text,
        "quantity_micro": str(event.quantity_micro),
        "dims": json.loads(event.dims_json),
        "corrects": event.corrects,
    }


def from_payload(source: str, event_id: str, payload: Mapping[str, Any]) -> ParsedEvent:
    """The event that `to_payload` wrote down; its fingerprint is the same."""
    meter, text, micro = payload["meter"], payload["time"], int(payload["quantity_micro"])
    dims, corrects = canonical_json(payload["dims"]) if payload["dims"] else "{}", payload["corrects"]
    original = (corrects[0], corrects[1]) if corrects else None
    content = f"{meter}\n{text}\n{micro}\n{dims}\n{original or ''}"
    at = datetime.fromisoformat(text)
    return ParsedEvent(source, event_id, meter, at, text, micro, dims, original, fingerprint(content))


def out_of_bounds(time: datetime, now: datetime) -> tuple[str, str] | None:
    """(code, sentence) when `time` is too old or too far ahead to be booked, else None. Both aware."""
    if time < now - OLDEST:
        return "quarantined_too_old", f"The event is more than {OLDEST.days} days old; it was kept aside for review."
    if time > now + AHEAD:
        return (
            "quarantined_in_future",
            "The event lies more than 5 minutes in the future; it was kept aside for review.",
        )
    return None


def identity_of(event: Any) -> tuple[str, str]:
    """(source, id) as far as they can be read, for the answer to a rejected event."""
    if not isinstance(event, Mapping):
        return "", ""
    return tuple(value[:MAX_TEXT] if isinstance(value, str) else "" for value in (event.get("source"), event.get("id")))  # type: ignore[return-value]


def _text(event: Mapping[str, Any], name: str) -> str:
    value = event.get(name)
    if type(value) is not str or not value:
        raise EventError(f"invalid_{name}", f"`{name}` is a text of 1 to {MAX_TEXT} characters.")
    if not value.isascii():
        value = unicodedata.normalize("NFC", value)
    if len(value) > MAX_TEXT or not value.isprintable():
        raise EventError(f"invalid_{name}", f"`{name}` is a text of 1 to {MAX_TEXT} printable characters.")
    return value


def _data(event: Mapping[str, Any], slug: str) -> dict[str, Any]:
    if event.get("specversion", "1.0") != "1.0":
        raise EventError("unsupported_version", "`specversion` is 1.0.")
    content_type = event.get("datacontenttype")
    if content_type is not None and not (isinstance(content_type, str) and _JSON_TYPE.fullmatch(content_type)):
        raise EventError("unsupported_data", "`datacontenttype` is application/json.")
    if "data_base64" in event:
        raise EventError("unsupported_data", "`data_base64` is not taken: send `data`, a JSON object.")
    data = event.get("data")
    if type(data) is not dict:
        raise EventError("invalid_data", "`data` is a JSON object with `quantity`.")
    for named in (event.get("tenant"), data.get("tenant")):
        if named is not None and named != slug:
            raise EventError("wrong_tenant", "The event names another tenant than the API key's. Leave `tenant` out.")
    return data


def _time(value: Any) -> datetime:
    try:
        if type(value) is str:
            match = _TIME.fullmatch(value)
            if match is None:
                raise EventError("invalid_time", "`time` is written like 2026-07-15T12:00:00Z (RFC 3339).")
            value = datetime.fromisoformat(value.upper())
        if not isinstance(value, datetime):
            raise EventError("invalid_time", "`time` is written like 2026-07-15T12:00:00Z (RFC 3339).")
        if value.tzinfo is None:
            raise EventError("naive_time", "`time` needs an offset, such as Z or +02:00.")
        return value if value.tzinfo is UTC else value.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        if isinstance(error, EventError):
            raise
        raise EventError("invalid_time", "`time` is not in the calendar.") from None


def _quantity(value: Any, kind: EventType, is_correction: bool) -> int:
    try:
        micro = value * kind.factor * MICRO if type(value) is int else _scaled(value, kind.factor * MICRO)
    except MoneyError as error:
        raise EventError("invalid_quantity", f"`data.quantity`: {error}.") from None
    if abs(micro) > MAX_DISPLAY_UNITS * kind.display_factor * MICRO:
        raise EventError(
            "quantity_too_large", f"`data.quantity` is more than {MAX_DISPLAY_UNITS:,} display units of the meter."
        )
    if micro < 0 and not is_correction:
        raise EventError("negative_quantity", "Only a correction (`data.corrects`) has a negative quantity.")
    return micro


def _scaled(value: Any, factor: int) -> int:
    """value × factor as a whole number, rounded half up: the ledger's resolution is a millionth of the base unit."""
    if type(value) is str:
        number = parse_decimal(value, signed=True, digits=_MAX_DIGITS, decimals=_MAX_DIGITS, exponents=True)
    elif type(value) is float:
        number = Decimal(repr(value))
    elif isinstance(value, Decimal):
        number = value
    else:
        raise MoneyError("not a number")
    if not number.is_finite():
        raise MoneyError("not a finite number")
    if number and not -_MAX_DIGITS <= number.adjusted() < _MAX_DIGITS:
        raise MoneyError(f"more than {_MAX_DIGITS} digits")
    numerator, denominator = number.as_integer_ratio()
    micro = (2 * abs(numerator) * factor + denominator) // (2 * denominator)
    if numerator and not micro:
        raise MoneyError("smaller than the ledger's resolution, a millionth of the base unit")
    return -micro if numerator < 0 else micro


def _corrects(value: Any) -> tuple[str, str]:
    if not isinstance(value, Mapping) or set(value) != {"source", "id"}:
        raise EventError(
            "invalid_correction", "`data.corrects` is an object with `source` and `id` of the event to correct."
        )
    return _text(value, "source"), _text(value, "id")


def _canonical_dimensions(items: tuple[tuple[Any, Any], ...]) -> str:
    if len(items) > MAX_DIMENSIONS:
        raise EventError("too_many_dimensions", f"`data` has at most {MAX_DIMENSIONS} dimensions.")
    return canonical_json({_dimension_name(key): _dimension(key, value) for key, value in items})


def _dimension_name(key: Any) -> str:
    if type(key) is not str or not _DIMENSION.fullmatch(key):
        raise EventError(
            "invalid_dimension", "A dimension's name is lower-case letters, digits and _, at most 40 characters."
        )
    return key


def _dimension(key: str, value: Any) -> str:
    if type(value) is bool:
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        value = _plain_number(key, value)
    if type(value) is not str or len(value) > MAX_DIMENSION_TEXT or not value.isprintable():
        raise EventError(
            "invalid_dimension",
            f"`data.{key}` is a text of at most {MAX_DIMENSION_TEXT} printable characters, a number or a truth value.",
        )
    return value if value.isascii() else unicodedata.normalize("NFC", value)


def _plain_number(key: str, value: int | float | Decimal) -> str:
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite() or abs(number.adjusted()) > _MAX_DIGITS or len(number.as_tuple().digits) > _MAX_DIGITS:
        raise EventError("invalid_dimension", f"`data.{key}` is not a number of a sensible size.")
    text = format(number, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) if number else "0"
