"""Serializer fields that take a value as it is or refuse it; DRF's own bend "1_000", true and full-width digits into numbers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.core.validators import validate_email
from rest_framework import serializers

_PLAIN_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,29})(?:\.[0-9]{1,20})?", re.ASCII)
_INVISIBLE = re.compile("[\u200b\u2028\u2029\u202a-\u202e\u2060\u2066-\u2069\ufeff\ufff9-\ufffb]")
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
FIRST_YEAR, LAST_YEAR = 2000, 2199


class StrictText(serializers.CharField):
    """A JSON string in one line: trimmed, NFC, without control characters, direction overrides and invisible marks."""

    default_error_messages = {
        "not_text": "Send a string.",
        "control": "Control and invisible characters are not allowed.",
    }

    def __init__(self, *, multiline: bool = False, **kwargs: Any) -> None:
        self.multiline = multiline
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("not_text")
        text = unicodedata.normalize("NFC", data)
        allowed = "\n\t" if self.multiline else ""
        if _INVISIBLE.search(text) or any(
            unicodedata.category(char) in ("Cc", "Cs") and char not in allowed for char in text
        ):
            self.fail("control")
        return str(super().to_internal_value(text))


class StrictChoice(serializers.ChoiceField):
    """One of the choices, as a JSON string."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid_choice", input=str(data)[:40])
        return super().to_internal_value(data)


class StrictEmail(StrictText):
    """One plain e-mail address."""

    default_error_messages = {"invalid_email": "Send one e-mail address, such as ops@example.org."}

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if text:
            try:
                validate_email(text)
            except DjangoValidationError:
                self.fail("invalid_email")
        return text


class StrictBoolean(serializers.BooleanField):
    """JSON true or false, nothing that looks like it."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=str(data)[:40])
        return data


class StrictInteger(serializers.IntegerField):
    """A JSON integer (in a query: ASCII digits)."""

    def __init__(self, *, from_query: bool = False, **kwargs: Any) -> None:
        self.from_query = from_query
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> int:
        if self.from_query and isinstance(data, str) and re.fullmatch(r"-?[0-9]{1,18}", data, re.ASCII):
            return int(data)
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return data


class StrictDecimal(serializers.DecimalField):
    """A JSON number, or a plain decimal number in a string; never rounded. Answers carry it as a string without idle zeros."""

    def validate_empty_values(self, data: Any) -> tuple[bool, Any]:
        return serializers.Field.validate_empty_values(self, data)  # DecimalField's own takes "" for null: unlimited!

    def to_internal_value(self, data: Any) -> Decimal:
        if isinstance(data, bool) or not isinstance(data, int | Decimal | str):
            self.fail("invalid")
        if isinstance(data, str) and not _PLAIN_DECIMAL.fullmatch(data):
            self.fail("invalid")
        value = Decimal(data)
        if not value and value.is_signed():
            self.fail("invalid")
        return self.validate_precision(value or Decimal(0))

    def to_representation(self, value: Any) -> str:
        return plain(Decimal(value))


class PlainNumber(serializers.FloatField):
    """A number of an answer: an integer where it is whole."""

    def to_representation(self, value: Any) -> Any:
        return int(value) if value == int(value) else float(value)


class StrictInstant(serializers.DateTimeField):
    """An RFC 3339 instant with a time zone, in the years 2000 to 2199."""

    default_error_messages = {
        "instant": "Send an instant with its time zone, such as 2026-07-01T00:00:00Z.",
        "year": f"The year must lie between {FIRST_YEAR} and {LAST_YEAR}.",
    }

    def to_internal_value(self, value: Any) -> datetime:
        instant = parse_instant(value)
        if instant is None:
            self.fail("instant")
        if not FIRST_YEAR <= instant.year <= LAST_YEAR:
            self.fail("year")
        return instant


class StrictList(serializers.ListField):
    """A JSON array."""

    def to_internal_value(self, data: Any) -> list[Any]:
        if not isinstance(data, list):
            self.fail("not_a_list", input_type=type(data).__name__)
        return list(super().to_internal_value(data))


def parse_instant(value: Any) -> datetime | None:
    """An aware datetime from RFC 3339 text (fractions beyond microseconds are cut), None for anything else."""
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        return None
    text = re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", value.upper())
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def parse_date(value: Any) -> date | None:
    """A date from YYYY-MM-DD, None for anything else."""
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def plain(value: Decimal) -> str:
    """Positional decimal text without trailing zeros after the point: 100, 0.5, 1000000."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def choices(values: Iterable[str]) -> list[tuple[str, str]]:
    """Choices whose label is the value."""
    return [(value, value) for value in values]
