from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

from metering.billing.lines import calculation, lines_of
from metering.models import InvoiceLine
from metering.periods import parse
from metering.pricing import PriceRow, Segment, parse_version, rate

MARCH = parse("UTC", "2026-03")


def face(*rows: PriceRow, use: list[Segment] | None = None, **bounds: datetime) -> list[InvoiceLine]:
    version = parse_version("book v1", datetime(2026, 1, 1, tzinfo=UTC), "USD", rows)
    return lines_of(rate(use or [], [version], MARCH, **bounds))


def test_quantity_times_price_needs_no_words(db: None) -> None:
    (line,) = face(
        PriceRow("gpu_hours", "per_unit", Decimal("2.50")),
        use=[Segment("gpu_hours", Fraction(12345678, 3600), MARCH.start)],
    )
    assert (line.quantity, line.unit_price, line.amount) == ("3429.355", Decimal("2.50"), Decimal("8573.39"))
    assert calculation(line, "USD") == []


def test_a_fee_says_of_how_many_days(db: None) -> None:
    (line,) = face(PriceRow("platform", "flat", Decimal(99)), active_from=datetime(2026, 3, 10, tzinfo=UTC))
    assert (line.quantity, line.unit, line.unit_price, line.amount) == (
        "22",
        "of 31 days",
        Decimal(99),
        Decimal("70.26"),
    )
    assert calculation(line, "USD")[0] == "22 of 31 days: 0.709677… × 99 = 70.25806451…"


def test_an_allowance_and_packages_say_what_was_paid_for(db: None) -> None:
    (line,) = face(
        PriceRow("api_calls", "per_unit", Decimal("0.01"), {"allowance": "1000"}),
        use=[Segment("api_calls", 1500, MARCH.start)],
    )
    assert calculation(line, "USD") == [
        "free allowance: 1000 × 0 = 0", "per unit: 500 × 0.01 = 5", "5 is 5.00 USD (book v1)",
    ]  # fmt: skip
    (line,) = face(
        PriceRow("api_calls", "package", Decimal(5), {"size": "100"}), use=[Segment("api_calls", 250, MARCH.start)]
    )
    assert line.amount == Decimal("15.00")
    assert calculation(line, "USD")
