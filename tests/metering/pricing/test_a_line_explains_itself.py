from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

from hypothesis import given

from metering import periods
from metering.money import total
from metering.pricing import FlatFee, Graduated, Price, PriceVersion, Segment, Tier, default_version, rate

from .made_up import ALWAYS, APRIL, books, usage

LADDER = Graduated((Tier(Decimal(1000), Decimal("0.002")), Tier(None, Decimal("0.001"), Decimal(3))))


def test_it_names_versions_segments_and_every_step() -> None:
    version = PriceVersion("standard v3", ALWAYS, "USD", (Price("api_calls", LADDER, allowance=Decimal(100)),))
    line = rate([Segment("api_calls", 1250, APRIL.start, evidence=("rollup 17",))], [version], APRIL).lines[0]
    assert line.explanation() == [
        "free allowance: 100 × 0 = 0",
        "0 to 1000: 1000 × 0.002 = 2",
        "above 1000: 150 × 0.001 + 3 = 3.15",
        "5.15 is 5.15 USD (standard v3)",
    ]
    assert line.segments[0].evidence == ("rollup 17",)
    assert line.unit_price is None


def test_one_price_is_named_on_the_line() -> None:
    line = rate([Segment("gpu_hours", Fraction(1, 3), APRIL.start)], [default_version(ALWAYS)], APRIL).lines[0]
    assert line.unit_price == Decimal("2.50")
    assert line.explanation()[-1] == "0.83333333… rounded to whole minor units, once, is 0.83 USD (standard v1)"


def test_a_number_that_goes_on_says_so() -> None:
    """22 of 31 days of 99: 0.709677 × 99 would be 70.258023, and the line is not made of that."""
    version = PriceVersion("standard v3", ALWAYS, "USD", (Price("platform_fee", FlatFee(Decimal(99))),))
    (line,) = rate([], [version], periods.parse("UTC", "2026-03"), active_from=datetime(2026, 3, 10, tzinfo=UTC)).lines
    assert line.explanation() == [
        "22 of 31 days: 0.709677… × 99 = 70.25806451…",
        "70.25806451… rounded to whole minor units, once, is 70.26 USD (standard v3)",
    ]


def test_its_key_survives_a_late_event() -> None:
    versions = [default_version(ALWAYS), default_version(datetime(2026, 4, 16, tzinfo=UTC), "standard v2")]
    one = rate([Segment("api_calls", 5, APRIL.start)], versions, APRIL)
    more = rate([Segment("api_calls", 5, APRIL.start), Segment("api_calls", 7, versions[1].starts_at)], versions, APRIL)
    assert [line.key for line in one.lines] == [line.key for line in more.lines]


@given(books(), usage)
def test_a_snapshot_is_plain_json_and_exact(versions: tuple[PriceVersion, ...], segments: list[Segment]) -> None:
    rating = rate(segments, versions, APRIL)
    assert len({line.key for line in rating.lines}) == len(rating.lines)
    for line in rating.lines:
        read = json.loads(json.dumps(line.as_dict(), allow_nan=False))
        assert Fraction(read["unrounded_exact"]) == line.unrounded
        assert read["amount"] == line.amount.decimal_string()
        assert sum((Fraction(part["amount"]) for part in read["parts"]), Fraction(0)) == line.unrounded


@given(books(), usage)
def test_the_split_by_model_adds_up_to_the_line(versions: tuple[PriceVersion, ...], segments: list[Segment]) -> None:
    for line in rate(segments, versions, APRIL).lines:
        assert total(line.split_by("model").values(), "USD") == line.amount


def test_the_split_by_model_follows_the_hours() -> None:
    some = [
        Segment("gpu_hours", hours, APRIL.start, None, {"model": model})
        for model, hours in (("A100", 1), ("H100", 2), ("A100", 1))
    ]
    line = rate(some, [default_version(ALWAYS)], APRIL).lines[0]
    assert {model: money.decimal_string() for model, money in line.split_by("model").items()} == {
        "A100": "5.00",
        "H100": "5.00",
    }
