"""How numbers, money and time read: one function each, for pages and CSV alike. Pure but for the active language.

Money and dates follow the reader's locale (Babel), numbers and money the one they chose (display.py); times are shown in the tenant's
zone, and the zone is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_skeleton, format_time
from babel.numbers import (
    format_compact_currency,
    format_compact_decimal,
    format_currency,
    format_decimal,
    format_percent,
    get_currency_symbol,
)
from django.utils.translation import get_language, gettext, ngettext, to_locale

from metering.money import MINOR_DIGITS, whole_percent

from . import display

NO_VALUE = "–"


@lru_cache(maxsize=64)
def _parse_locale(language: str) -> Locale:
    try:
        return Locale.parse(to_locale(language))
    except (UnknownLocaleError, ValueError):
        return Locale("en", "US")


def locale() -> Locale:
    """The Babel locale of the active language; plain "en" means en_US."""
    language = get_language() or "en-us"
    return _parse_locale("en-us" if language == "en" else language)


def number_locale() -> Locale:
    """The locale whose digits and separators are used: the one that the reader chose, else that of the language."""
    chosen = display.present().locale
    return _parse_locale(chosen.lower()) if chosen else locale()


def _signed(text: str, code: str) -> str:
    """The amount as written by Babel, with the code in place of the sign for who wants codes."""
    if not display.present().by_code:
        return text
    sign = get_currency_symbol(code, locale=number_locale())
    if sign == code:
        return text
    before = text.startswith((sign, f"-{sign}"))
    return text.replace(sign, f"{code}\xa0" if before else code, 1).replace("\xa0\xa0", "\xa0")


def money(value: Any, currency: str | None = None) -> str:
    """'$4,213.55': to the currency's minor unit. `value` is a Money, or a Decimal together with `currency`."""
    amount, code = _money_parts(value, currency)
    return NO_VALUE if amount is None else _signed(_money(amount, code, number_locale()), code)


@lru_cache(maxsize=4096)
def _money(amount: Decimal, code: str, written_as: Locale) -> str:
    """Remembered: a page with charts says hundreds of amounts, most of them each time it is made."""
    return str(format_currency(amount, code, locale=written_as))


def money_compact(value: Any, currency: str | None = None) -> str:
    """'$4.2K' for axes and tight places; below a thousand as `money_short`."""
    amount, code = _money_parts(value, currency)
    if amount is None:
        return NO_VALUE
    if abs(amount) < 1000:
        return money_short(amount, code)
    return _signed(format_compact_currency(amount, code, locale=number_locale(), fraction_digits=1), code)


def money_short(value: Any, currency: str | None = None) -> str:
    """'$4,214': whole units when there is no fraction to tell, for budgets and scales; '$0.50' keeps its cents."""
    amount, code = _money_parts(value, currency)
    if amount is None:
        return NO_VALUE
    if amount != amount.to_integral_value():
        return money(amount, code)
    text = format_currency(amount, code, format=_currency_pattern(""), locale=number_locale(), currency_digits=False)
    return _signed(text, code)


def unit_price(value: Any, currency: str | None = None) -> str:
    """'$0.001': every significant digit of a price, at least the minor unit."""
    amount, code = _money_parts(value, currency)
    if amount is None:
        return NO_VALUE
    exponent = amount.normalize().as_tuple().exponent
    places = max(MINOR_DIGITS.get(code, 2), -exponent if isinstance(exponent, int) else 0)
    pattern = _currency_pattern("." + "0" * places if places else "")
    return _signed(format_currency(amount, code, format=pattern, locale=number_locale(), currency_digits=False), code)


def _currency_pattern(fraction: str) -> str:
    """The locale's currency pattern with another fraction part, '' for whole units."""
    return re.sub(r"\.0+", fraction, number_locale().currency_formats["standard"].pattern)


def _money_parts(value: Any, currency: str | None) -> tuple[Decimal | None, str]:
    if value is None or value == "":
        return None, currency or "USD"
    amount = getattr(value, "amount", value)
    code = getattr(value, "currency", None) or currency or "USD"
    return Decimal(amount), str(code)


# Units of the built-in meters by their display unit; an unknown unit is written as it is.
def unit_name(unit: str, count: Decimal | int = 2) -> str:
    """'call'/'calls', 'GPU hour'/'GPU hours', 'GB': the display unit of a meter, in words."""
    one = 1 if count == 1 else 2
    match unit:
        case "call":
            return ngettext("call", "calls", one)
        case "hour" | "GPU hour":
            return ngettext("GPU hour", "GPU hours", one)
        case "GB-month":
            return ngettext("GB-month", "GB-months", one)
        case _:
            return unit


def number(value: Any, places: int | None = None) -> str:
    """'1,234.5': at most `places` decimals; by default as many as a person needs (none from 100 on, one from 10, else two)."""
    return NO_VALUE if value is None else _number(Decimal(value), places, number_locale())


@lru_cache(maxsize=8192)
def _number(amount: Decimal, places: int | None, written_as: Locale) -> str:
    """Remembered: the chart, its table and the sentence beside it say the same numbers."""
    if places is None:
        size = abs(amount)
        places = 0 if size >= 1000 or amount == amount.to_integral_value() else 1 if size >= 10 else 2
    quantum = Decimal(1).scaleb(-places)
    rounded = amount.quantize(quantum, rounding=ROUND_HALF_UP)
    if rounded == 0 and amount != 0:
        return (
            f"< {format_decimal(quantum, locale=written_as)}"
            if amount > 0
            else f"> −{format_decimal(quantum, locale=written_as)}"
        )
    return str(format_decimal(rounded, locale=written_as, decimal_quantization=False))


def column(values: Iterable[Decimal | None]) -> list[str]:
    """Numbers that stand under each other: as many decimals for all as the largest needs by itself, so that their points line up."""
    listed = list(values)
    known = [abs(value) for value in listed if value is not None]
    largest = max(known, default=Decimal(0))
    whole = all(value == value.to_integral_value() for value in known)
    places = 0 if whole or largest >= 1000 else 1 if largest >= 10 else 2
    return [NO_VALUE if value is None else _fixed(value, places, number_locale()) for value in listed]


@lru_cache(maxsize=2048)
def _fixed(value: Decimal, places: int, written_as: Locale) -> str:
    quantum = Decimal(1).scaleb(-places)
    rounded = value.quantize(quantum, rounding=ROUND_HALF_UP)
    if rounded == 0 and value != 0:
        return _number(value, places, written_as)
    pattern = "#,##0" + ("." + "0" * places if places else "")
    return str(format_decimal(rounded, format=pattern, locale=written_as, decimal_quantization=False))


def number_exact(value: Any) -> str:
    """Every digit, grouped: for tables that must add up."""
    if value is None:
        return NO_VALUE
    return format_decimal(Decimal(value).normalize(), locale=number_locale(), decimal_quantization=False)


def compact(value: Any) -> str:
    """'812.4K': for axes and tight places."""
    if value is None:
        return NO_VALUE
    amount = Decimal(value)
    return (
        number(amount)
        if abs(amount) < 10_000
        else format_compact_decimal(amount, locale=number_locale(), fraction_digits=1)
    )


def quantity(value: Any, unit: str) -> str:
    """'812,403 calls', '63.4 GPU hours', '418 GB'; no value means unlimited and is written '∞'."""
    if value is None:
        return gettext("unlimited")
    amount = Decimal(value)
    if unit == "call":
        amount = amount.to_integral_value(rounding=ROUND_HALF_UP)
    return f"{number(amount)} {unit_name(unit, amount)}"


def percent(value: Any, places: int = 0) -> str:
    """'83%' for 83 (not for 0.83). Between 99.5 and 100 it says 99%, so that 'full' means full."""
    if value is None:
        return NO_VALUE
    amount = Decimal(value)
    quantum = Decimal(1).scaleb(-places)
    rounded = amount.quantize(quantum, rounding=ROUND_HALF_UP)
    if rounded == 100 and amount < 100:
        rounded = Decimal(100) - quantum
    if rounded == 0 and amount > 0:
        return f"< {format_percent(quantum / 100, locale=number_locale(), decimal_quantization=False)}"
    return format_percent(rounded / 100, locale=number_locale(), decimal_quantization=False)


def reached(value: Any) -> str:
    """'79%' of a limit, a quota or a budget for 79.97: cut as `whole_percent` does, so that it never says more than its marks do."""
    if value is None:
        return NO_VALUE
    return percent(value if 0 < value < 1 else whole_percent(value))


def zone_label(moment: datetime, zone: str) -> str:
    """'CET', '-03' or 'UTC': what the zone is called at that moment."""
    return moment.astimezone(ZoneInfo(zone)).tzname() or zone


def day(value: date | datetime, zone: str, *, year: bool = True) -> str:
    """'Nov 22, 2026' (or 'Nov 22'), of an aware datetime in `zone` or of a plain date."""
    local = value.astimezone(ZoneInfo(zone)).date() if isinstance(value, datetime) else value
    return _day(local, year, locale())


@lru_cache(maxsize=4096)
def _day(local: date, year: bool, written_as: Locale) -> str:
    return str(
        format_date(local, "medium", locale=written_as) if year else format_skeleton("MMMd", local, locale=written_as)
    )


def weekday(value: date) -> str:
    """'Sun, Nov 22' of a local date."""
    return format_skeleton("MMMEd", value, locale=locale())


def month(key: str) -> str:
    """'November 2026' of '2026-11'."""
    return format_skeleton("yMMMM", date(int(key[:4]), int(key[5:7]), 1), locale=locale())


def moment(value: datetime, zone: str) -> str:
    """'Nov 22, 2026, 14:03 CET' of an aware datetime, in `zone`."""
    return f"{_without_seconds(value, ZoneInfo(zone))} {zone_label(value, zone)}"


def moment_soon(value: datetime, zone: str, now: datetime) -> str:
    """As `moment`, without the year while it is the present one or the next six months."""
    if abs((value - now).days) > 180:
        return moment(value, zone)
    local = value.astimezone(ZoneInfo(zone))
    time = format_time(local, "short", tzinfo=ZoneInfo(zone), locale=locale())
    return f"{day(value, zone, year=False)}, {time} {zone_label(value, zone)}"


def time_of_day(value: datetime, zone: str) -> str:
    """'2:03 PM': for lists that say the day and the zone once for many."""
    return str(format_time(value, "short", tzinfo=ZoneInfo(zone), locale=locale()))


def clock(value: datetime, zone: str) -> str:
    """'2:03:20 PM CET'."""
    return f"{format_time(value, 'medium', tzinfo=ZoneInfo(zone), locale=locale())} {zone_label(value, zone)}"


def _without_seconds(value: datetime, tz: ZoneInfo) -> str:
    local = value.astimezone(tz)
    time = format_time(local, "short", tzinfo=tz, locale=locale())
    pattern = locale().datetime_formats["medium"].replace("'", "")
    return pattern.replace("{0}", time).replace("{1}", format_date(local.date(), "medium", locale=locale()))


def ago(value: datetime, now: datetime) -> str:
    """'3 minutes ago', 'in 8 days': the largest unit that fits, between two aware datetimes."""
    seconds = int((value.astimezone(UTC) - now.astimezone(UTC)).total_seconds())
    size = abs(seconds)
    if size < 45:
        return gettext("just now")
    if size >= 86400:
        words = _days(size // 86400)
    elif size >= 3600:
        words = _hours(size // 3600)
    else:
        words = _minutes(max(1, size // 60))
    return (gettext("in %(time)s") if seconds > 0 else gettext("%(time)s ago")) % {"time": words}


def _days(count: int) -> str:
    return ngettext("%(count)d day", "%(count)d days", count) % {"count": count}


def _hours(count: int) -> str:
    return ngettext("%(count)d hour", "%(count)d hours", count) % {"count": count}


def _minutes(count: int) -> str:
    return ngettext("%(count)d minute", "%(count)d minutes", count) % {"count": count}


def upper_first(text: str) -> str:
    """'API key' stays as it is, which str.capitalize would spoil."""
    return text[:1].upper() + text[1:]
