"""Every worked example of this folder gives the lines that its arithmetic says. See README.md for the tables' form."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from metering import periods
from metering.money import Money
from metering.pricing import (
    BilledGap,
    BookInForce,
    LastKnown,
    PriceRow,
    PriceVersion,
    Rating,
    Reading,
    Segment,
    TaxRule,
    adjust,
    cuts,
    default_version,
    gap_segments,
    integrate_level,
    parse_version,
    priced_quantity,
    rate,
    settled,
    tax,
    timeline,
)

Example = dict[str, Any]
HERE = Path(__file__).parent
GB = 10**9


def examples() -> Iterator[Any]:
    for path in sorted(HERE.glob("*.toml")):
        for example in tomllib.loads(path.read_text(encoding="utf-8"))["example"]:
            yield pytest.param(example, id=f"{path.stem}: {example['name']}")


@pytest.mark.parametrize("example", list(examples()))
def test_bill_is_what_the_arithmetic_says(example: Example) -> None:
    assert example["why"]
    period = periods.parse(example.get("zone", "UTC"), example["month"])
    versions = _versions(example)
    usage = (
        _usage(example.get("use", []), period) + _stored(example, versions, period) + _gaps(example, versions, period)
    )
    rating = _rate(example, usage, versions, period)

    assert [_said(line, expected) for line, expected in zip(rating.lines, example["lines"], strict=True)] == example[
        "lines"
    ]
    if "held" in example:
        assert [[h.reason, h.meter, h.dim_value, str(h.quantity)] for h in rating.quarantined] == example["held"]
    else:
        assert not rating.quarantined
    if "subtotal" in example:
        assert rating.subtotal.decimal_string() == example["subtotal"]
    if "tax" in example:
        _check_tax(example, rating)
    if "late" in example:
        later = _rate(example, usage + _usage(example["late"], period), versions, period)
        _check_adjustments(example, rating, later)


def test_there_are_enough_examples_and_no_two_of_one_name() -> None:
    names = [example.id for example in examples()]
    assert len(names) >= 120
    assert len(set(names)) == len(names)


def _rate(example: Example, usage: list[Segment], versions: tuple[PriceVersion, ...], period: periods.Period) -> Rating:
    bounds = {key: _instant(example[key]) for key in ("active_from", "active_until", "as_of") if key in example}
    return rate(usage, versions, period, **bounds)


def _said(line: Any, expected: list[str]) -> list[str]:
    """The line in as many words as the example uses."""
    words = [line.meter, line.amount.decimal_string()]
    if expected[0] in ("usage", "fee", "shortfall", "overage"):
        words.insert(0, line.kind)
    return [*words, str(line.quantity)] if len(expected) > len(words) else words


def _versions(example: Example) -> tuple[PriceVersion, ...]:
    currency = example.get("currency", "USD")
    if "layers" in example:
        books = [_book(versions, currency) for versions in example["books"]]
        return timeline(
            *(
                [
                    BookInForce(books[b["book"]], _instant(b["from"]), _instant(b["until"]) if "until" in b else None)
                    for b in layer
                ]
                for layer in example["layers"]
            )
        )
    if "versions" in example:
        return _book(example["versions"], currency)
    return (default_version(datetime(2000, 1, 1, tzinfo=UTC)),)


def _book(versions: list[Example], currency: str) -> tuple[PriceVersion, ...]:
    return tuple(
        parse_version(
            version.get("ref", f"book v{number}"),
            _instant(version["from"]),
            currency,
            [_row(price) for price in version["prices"]],
            _instant(version["until"]) if "until" in version else None,
        )
        for number, version in enumerate(versions, 1)
    )


def _row(price: Example) -> PriceRow:
    key, value = price.get("dim", ("", ""))
    params = {name: price[name] for name in price if name not in ("meter", "model", "price", "dim")}
    return PriceRow(price["meter"], price["model"], Decimal(price.get("price", "0")), params, key, value)


def _usage(uses: list[Example], period: periods.Period) -> list[Segment]:
    return [segment for use in uses for segment in [_segment(use, period)] * use.get("times", 1)]


def _segment(use: Example, period: periods.Period) -> Segment:
    known = {"meter", "quantity", "seconds", "at", "from", "to", "held_from", "held_to", "times"}
    dims = {key: value for key, value in use.items() if key not in known}
    if "held_from" in use:
        start, end = _instant(use["held_from"]), _instant(use["held_to"])
        held = (end - start) // timedelta(microseconds=1)
        return Segment(use["meter"], priced_quantity(held, 3600), start, end, dims)
    if "seconds" in use:
        quantity: Decimal | Fraction = priced_quantity(int(Decimal(use["seconds"]) * 10**6), 3600)
    else:
        quantity = Decimal(use["quantity"])
    if "at" in use:
        return Segment(use["meter"], quantity, _instant(use["at"]), None, dims)
    start = _instant(use["from"]) if "from" in use else period.start
    return Segment(use["meter"], quantity, start, _instant(use["to"]) if "to" in use else period.end, dims)


def _stored(example: Example, versions: tuple[PriceVersion, ...], period: periods.Period) -> list[Segment]:
    """Storage readings, integrated piece by piece between price changes, as GB-months."""
    stored = example.get("stored")
    if not stored:
        return []
    readings = [Reading(_instant(at), int(size) * GB) for at, size in stored["readings"]]
    opening = int(stored["opening"]) * GB if "opening" in stored else None
    hold = timedelta(hours=stored["hold_hours"]) if "hold_hours" in stored else None
    segments = []
    for start, end in cuts(versions, period):
        whole = integrate_level(readings, period.start, end, opening=opening, hold_for=hold).unit_seconds
        before = integrate_level(readings, period.start, start, opening=opening, hold_for=hold).unit_seconds
        quantity = priced_quantity(int((whole - before) * 10**6), GB, period)
        segments.append(Segment("storage_gb", quantity, start, end))
    return segments


def _gaps(example: Example, versions: tuple[PriceVersion, ...], period: periods.Period) -> list[Segment]:
    """What was not measured, billed as its rule says. `last` is (quantity, dimensions): of hours per hour, of storage in GB."""
    segments = []
    for number, gap in enumerate(example.get("gaps", []), 1):
        is_level = gap["meter"] == "storage_gb"
        factor = GB if is_level else 3600
        last = tuple(
            LastKnown(
                dims,
                Fraction(Decimal(quantity)) * factor * 10**6 / (1 if is_level else 3600),
                _instant(gap["known_until"]) if "known_until" in gap else None,
            )
            for quantity, dims in gap.get("last", [])
        )
        billed = BilledGap(
            f"gap:{number}", gap["meter"], _instant(gap["from"]), _instant(gap["to"]), gap["rule"],
            timedelta(minutes=gap.get("cap_minutes", 0)), last, Decimal(gap["amount"]) if "amount" in gap else None,
        )  # fmt: skip
        segments += gap_segments(
            billed, period, [start for start, _ in cuts(versions, period)], factor=factor, is_level=is_level
        )
    return segments


def _check_tax(example: Example, rating: Rating) -> None:
    rule = example["tax"]
    taxed = tax(rating.subtotal, TaxRule("VAT", Decimal(rule["rate"]), rule.get("reverse_charge", False)))
    assert taxed.tax.decimal_string() == rule["due"]
    assert taxed.total.decimal_string() == example["total"]
    assert taxed.subtotal + taxed.tax == taxed.total


def _check_adjustments(example: Example, issued: Rating, later: Rating) -> None:
    changes = adjust(settled(issued.lines), later)
    assert [[c.line_key.split("|")[1], c.amount.decimal_string()] for c in changes] == example["adjustments"]
    assert all(change.origin == example["month"] for change in changes)
    # What is settled after the adjustments is what a single invoice would have said.
    paid = sum((money.minor for money in settled(issued.lines, changes).values()), 0)
    assert Money.of_minor(paid, later.currency) == later.subtotal
    assert not adjust(settled(issued.lines, changes), later)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
