from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import translation

from portal.web.writing import formats

NOON = datetime(2026, 11, 22, 12, 3, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"), [("4213.554", "$4,213.55"), ("0", "$0.00"), ("-12.5", "-$12.50"), ("1000000", "$1,000,000.00")]
)
def test_money_has_the_minor_unit(value: str, text: str) -> None:
    assert formats.money(Decimal(value), "USD") == text


@pytest.mark.parametrize(
    ("value", "text"), [("0.001", "$0.001"), ("2.5", "$2.50"), ("0.0230000000", "$0.023"), ("3", "$3.00")]
)
def test_a_price_keeps_every_digit_that_means_something(value: str, text: str) -> None:
    assert formats.unit_price(Decimal(value), "USD") == text


def test_yen_have_no_cents_and_dinars_three() -> None:
    assert formats.money(Decimal("1234"), "JPY") == "¥1,234"
    assert formats.money(Decimal("1.5"), "KWD").endswith("1.500")


def test_money_and_dates_follow_the_reader() -> None:
    with translation.override("de"):
        assert formats.money(Decimal("4213.55"), "EUR") == "4.213,55\xa0€"
        assert formats.moment(NOON, "Europe/Zurich") == "22.11.2026, 13:03 CET"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        ("812403", "call", "812,403 calls"),
        ("1", "call", "1 call"),
        ("0.4", "call", "0 calls"),
        ("63.44", "hour", "63.4 GPU hours"),
        ("1.257", "GB", "1.26 GB"),
        ("0.0001", "GB", "< 0.01 GB"),
        ("418", "GB", "418 GB"),
    ],
)
def test_quantities_say_their_unit(value: str, unit: str, text: str) -> None:
    assert formats.quantity(Decimal(value), unit) == text


@pytest.mark.parametrize(
    ("value", "text"), [("0", "0%"), ("0.2", "< 1%"), ("99.7", "99%"), ("100", "100%"), ("104.4", "104%")]
)
def test_full_means_full(value: str, text: str) -> None:
    assert formats.percent(Decimal(value)) == text


def test_a_time_says_its_zone() -> None:
    assert formats.moment(NOON, "Europe/Zurich").replace("\u202f", " ") == "Nov 22, 2026, 1:03 PM CET"
    assert formats.moment(NOON + timedelta(days=240), "Europe/Zurich").endswith("CEST")


@pytest.mark.parametrize(
    ("ahead", "text"),
    [
        (timedelta(seconds=-10), "just now"),
        (timedelta(minutes=-3), "3 minutes ago"),
        (timedelta(hours=-1), "1 hour ago"),
        (timedelta(days=8, hours=2), "in 8 days"),
    ],
)
def test_how_long_ago(ahead: timedelta, text: str) -> None:
    assert formats.ago(NOON + ahead, NOON) == text


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (["39.3", "25", "21.24"], ["39.3", "25.0", "21.2"]),
        (["11", "2.29", None], ["11.0", "2.3", "–"]),
        (["3", "12", "0"], ["3", "12", "0"]),
        (["0.87", "0.8"], ["0.87", "0.80"]),
        (["1200.5", "3.25"], ["1,201", "3"]),
        (["37.6", "0.004"], ["37.6", "< 0.1"]),
        ([], []),
    ],
)
def test_the_points_of_a_column_line_up(values: list[str | None], texts: list[str]) -> None:
    assert formats.column(None if value is None else Decimal(value) for value in values) == texts
