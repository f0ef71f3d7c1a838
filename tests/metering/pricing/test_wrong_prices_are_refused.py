from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from metering.money import MoneyError
from metering.periods import PeriodError
from metering.pricing import (
    BookInForce,
    Commitment,
    FlatFee,
    Graduated,
    Package,
    PerUnit,
    Price,
    PriceError,
    PriceVersion,
    Segment,
    Tier,
    check_publishable,
    default_version,
    rate,
    timeline,
)

from .made_up import ALWAYS, APRIL

ONE = Decimal(1)
PRICE = Price("gpu_hours", PerUnit(ONE))


@pytest.mark.parametrize(
    "make",
    [
        lambda: PerUnit(Decimal("-0.01")),
        lambda: Package(Decimal(0), ONE),
        lambda: Package(ONE, -ONE),
        lambda: FlatFee(-ONE),
        lambda: Commitment(-ONE),
        lambda: Commitment(ONE, -ONE),
        lambda: Tier(None, -ONE),
        lambda: Tier(None, ONE, -ONE),
        lambda: Graduated(()),
        lambda: Graduated((Tier(ONE, ONE),)),
        lambda: Graduated((Tier(None, ONE), Tier(None, ONE))),
        lambda: Graduated((Tier(Decimal(2), ONE), Tier(ONE, ONE), Tier(None, ONE))),
        lambda: Graduated((Tier(ONE, ONE), Tier(ONE, ONE), Tier(None, ONE))),
        lambda: Graduated((Tier(Decimal(0), ONE), Tier(None, ONE))),
        lambda: Price("", PerUnit(ONE)),
        lambda: Price("gpu_hours", PerUnit(ONE), allowance=-ONE),
        lambda: Price("gpu_hours", PerUnit(ONE), dim_value="H100"),
        lambda: Price("fee", FlatFee(ONE), allowance=ONE),
        lambda: Price("fee", FlatFee(ONE), "model", "H100"),
        lambda: PriceVersion("v", ALWAYS, "USD", (PRICE, PRICE)),
        lambda: PriceVersion(
            "v", ALWAYS, "USD", (Price("g", PerUnit(ONE), "model", "A"), Price("g", PerUnit(ONE), "model", "A"))
        ),
        lambda: PriceVersion(
            "v", ALWAYS, "USD", (Price("g", PerUnit(ONE), "model", "A"), Price("g", PerUnit(ONE), "class", "B"))
        ),
        lambda: PriceVersion("v", ALWAYS, "USD", (), ends_at=ALWAYS),
    ],
)
def test_a_price_that_contradicts_itself(make: Callable[[], object]) -> None:
    with pytest.raises(PriceError):
        make()


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), Decimal("1E+999")])
def test_a_price_is_finite(value: Decimal) -> None:
    with pytest.raises(MoneyError):
        PerUnit(value)


@pytest.mark.parametrize("value", [0.001, True, "0.001", None])
def test_a_price_is_exact(value: object) -> None:
    with pytest.raises(TypeError):
        PerUnit(value)  # type: ignore[arg-type]


def test_a_version_is_in_a_known_currency_and_starts_at_an_instant() -> None:
    with pytest.raises(MoneyError):
        PriceVersion("v", ALWAYS, "usd", ())
    with pytest.raises(PeriodError):
        PriceVersion("v", datetime(2026, 1, 1), "USD", ())


def test_versions_that_start_together_are_refused() -> None:
    with pytest.raises(PriceError, match="same instant"):
        rate([], [default_version(ALWAYS), default_version(ALWAYS, "again")], APRIL)


@pytest.mark.parametrize(
    ("starts_at", "words"),
    [
        (datetime(2026, 4, 10, tzinfo=UTC), "future"),
        (datetime(2026, 4, 15, 12, tzinfo=UTC), "future"),
        (datetime(2026, 5, 1, 0, 30, tzinfo=UTC), "full hour"),
        (datetime(2026, 6, 1, tzinfo=UTC), "same instant"),
    ],
)
def test_a_version_is_not_published_into_the_past_or_over_another(starts_at: datetime, words: str) -> None:
    published = [default_version(ALWAYS), default_version(datetime(2026, 6, 1, tzinfo=UTC), "standard v2")]
    now = datetime(2026, 4, 15, 12, tzinfo=UTC)
    with pytest.raises(PriceError, match=words):
        check_publishable(default_version(starts_at, "new"), published, now)


def test_only_force_publishes_into_the_past() -> None:
    late = default_version(datetime(2026, 4, 10, tzinfo=UTC), "new")
    check_publishable(late, [default_version(ALWAYS)], datetime(2026, 4, 15, tzinfo=UTC), force=True)


def test_a_book_keeps_its_currency() -> None:
    with pytest.raises(PriceError, match="USD"):
        check_publishable(
            PriceVersion("v2", datetime(2026, 5, 1, tzinfo=UTC), "EUR", ()), [default_version(ALWAYS)], ALWAYS
        )


def test_two_books_of_one_layer_do_not_overlap() -> None:
    book = (default_version(ALWAYS),)
    with pytest.raises(PriceError, match="at once"):
        timeline([BookInForce(book, ALWAYS), BookInForce(book, ALWAYS + timedelta(days=9))])
    with pytest.raises(PriceError, match="at once"):
        timeline(
            [BookInForce(book, ALWAYS, ALWAYS + timedelta(days=10)), BookInForce(book, ALWAYS + timedelta(days=9))]
        )


def test_usage_outside_the_period_is_refused() -> None:
    for at in (APRIL.start - timedelta(microseconds=1), APRIL.end):
        with pytest.raises(PriceError, match="outside"):
            rate([Segment("api_calls", 1, at)], [default_version(ALWAYS)], APRIL)
    with pytest.raises(PriceError, match="outside"):
        rate([Segment("api_calls", 1, APRIL.start, APRIL.end + timedelta(seconds=1))], [default_version(ALWAYS)], APRIL)


def test_usage_over_a_price_change_must_be_cut() -> None:
    versions = [default_version(ALWAYS), default_version(datetime(2026, 4, 16, tzinfo=UTC), "standard v2")]
    with pytest.raises(PriceError, match="crosses"):
        rate([Segment("api_calls", 1, APRIL.start, APRIL.end)], versions, APRIL)
    with pytest.raises(PriceError, match="crosses"):  # … also over the beginning of all prices
        rate([Segment("api_calls", 1, APRIL.start, APRIL.end)], versions[1:], APRIL)


@pytest.mark.parametrize("quantity", [0.5, float("nan"), "1", True, None])
def test_a_quantity_is_exact(quantity: object) -> None:
    with pytest.raises(TypeError):
        Segment("api_calls", quantity, APRIL.start)  # type: ignore[arg-type]


def test_a_segment_does_not_run_backwards() -> None:
    with pytest.raises(PriceError, match="before it starts"):
        Segment("api_calls", 1, APRIL.end, APRIL.start)


def test_without_any_price_the_currency_must_be_named() -> None:
    with pytest.raises(PriceError, match="currency"):
        rate([], [], APRIL)
    rating = rate([Segment("api_calls", 1, APRIL.start)], [], APRIL, currency="USD")
    assert rating.subtotal.minor == 0
    assert [held.reason for held in rating.quarantined] == ["no_price_in_force"]
