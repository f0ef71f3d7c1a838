"""How amounts and times read in a mail. A mail has no reader's settings: English, the tenant's currency and time zone, which is said."""

from __future__ import annotations

import unicodedata
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime
from babel.numbers import format_currency, format_decimal

from metering.money import whole_percent

LOCALE = "en_US"
WORDS = {
    "call": ("call", "calls"), "hour": ("GPU hour", "GPU hours"), "GPU hour": ("GPU hour", "GPU hours"), "GB-month": ("GB-month", "GB-months"),
}  # fmt: skip


def money(amount: Decimal, currency: str) -> str:
    """'$8,312.40'."""
    return format_currency(amount, currency, locale=LOCALE)


def money_short(amount: Decimal, currency: str) -> str:
    """'$8,312': without the minor unit, in any currency."""
    whole = amount.quantize(Decimal(1), rounding=ROUND_HALF_UP)
    return format_currency(whole, currency, format="¤#,##0", locale=LOCALE, currency_digits=False)


def percent(value: Decimal) -> str:
    """'83%' of a limit for 83.4: as `whole_percent` cuts it."""
    return f"{format_decimal(whole_percent(value), locale=LOCALE)}%"


def percent_mark(mark: int) -> str:
    """'80%' of a threshold."""
    return f"{mark}%"


def quantity(value: Decimal, unit: str) -> str:
    """'812,403 calls', '63.4 GPU hours', '418 GB'; `unit` is a meter's display or billing unit."""
    places = (
        0
        if unit == "call" or value == value.to_integral_value() or abs(value) >= 1000
        else 1
        if abs(value) >= 10
        else 2
    )
    rounded = value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
    words = WORDS.get(unit, (unit, unit))
    return f"{format_decimal(rounded, locale=LOCALE, decimal_quantization=False)} {words[rounded != 1]}"


def moment(instant: datetime, zone: str) -> str:
    """'Jul 15, 2026, 14:05 CEST' of an aware instant, in `zone`."""
    local = instant.astimezone(ZoneInfo(zone))
    return f"{format_datetime(local, 'MMM d, y, HH:mm', locale=LOCALE)} {local.tzname()}"


def day(instant: datetime, zone: str) -> str:
    """'July 24' in `zone`."""
    return format_date(instant.astimezone(ZoneInfo(zone)).date(), "MMMM d", locale=LOCALE)


def calendar_day(value: date) -> str:
    """'July 24' of a date."""
    return format_date(value, "MMMM d", locale=LOCALE)


def period(key: str) -> str:
    """'July 2026' of '2026-07', 'the third quarter of 2026' of '2026-Q3'."""
    year, part = key.split("-", 1)
    if part.startswith("Q"):
        return f"the {('first', 'second', 'third', 'fourth')[int(part[1]) - 1]} quarter of {year}"
    return format_date(date(int(year), int(part), 1), "MMMM y", locale=LOCALE)


def one_line(text: str) -> str:
    """Text that can stand in a header or between other words: no line breaks, no control or direction-changing characters."""
    kept = "".join(" " if unicodedata.category(char) in {"Cc", "Zl", "Zp"} else char for char in text)
    return " ".join(
        "".join(char for char in kept if unicodedata.category(char) not in {"Cf", "Cs", "Co", "Cn"}).split()
    )
