from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from metering.pricing import (
    Commitment,
    FlatFee,
    Graduated,
    Package,
    PerUnit,
    Price,
    PriceError,
    PriceRow,
    Tier,
    Volume,
    parse_price,
    parse_version,
)

from .made_up import ALWAYS

D = Decimal
TIERS = [{"up_to": "1000", "unit_price": "0.002"}, {"up_to": None, "unit_price": "0.001", "flat": "5"}]
LADDER = (Tier(D(1000), D("0.002")), Tier(None, D("0.001"), D(5)))


@pytest.mark.parametrize(
    ("row", "price"),
    [
        (PriceRow("api_calls", "per_unit", D("0.001")), Price("api_calls", PerUnit(D("0.001")))),
        (PriceRow("api_calls", "graduated", D(0), {"tiers": TIERS}), Price("api_calls", Graduated(LADDER))),
        (PriceRow("api_calls", "volume", D(0), {"tiers": TIERS}), Price("api_calls", Volume(LADDER))),
        (PriceRow("api_calls", "package", D(1), {"size": "100"}), Price("api_calls", Package(D(100), D(1)))),
        (PriceRow("fee", "flat", D(99)), Price("fee", FlatFee(D(99)))),
        (
            PriceRow(
                "gpu_hours",
                "per_unit",
                D(2),
                {"allowance": "10", "minimum": "50.00", "overage_factor": "1.5"},
                "model",
                "H100",
            ),
            Price("gpu_hours", PerUnit(D(2)), "model", "H100", D(10), Commitment(D(50), D("1.5"))),
        ),
    ],
)
def test_a_row_becomes_a_price(row: PriceRow, price: Price) -> None:
    assert parse_price(row) == price


@pytest.mark.parametrize(
    ("model", "params", "words"),
    [
        ("per-unit", {}, "not a charge model"),
        ("", {}, "not a charge model"),
        ("per_unit", {"tiers": TIERS}, "takes no parameter tiers"),
        ("per_unit", {"alowance": "5"}, "takes no parameter alowance"),
        ("per_unit", {"allowance": 5}, "written as text"),
        ("per_unit", {"allowance": "-5"}, "negative"),
        ("per_unit", {"allowance": "NaN"}, "plain decimal"),
        ("per_unit", {"allowance": "1_000"}, "plain decimal"),
        ("per_unit", {"overage_factor": "1.5"}, "needs a minimum"),
        ("per_unit", {"minimum": None}, "written as text"),
        ("graduated", {}, "needs tiers"),
        ("graduated", {"tiers": {}}, "needs tiers"),
        ("graduated", {"tiers": []}, "last tier"),
        ("graduated", {"tiers": [{"unit_price": 1}]}, "written as text"),
        ("graduated", {"tiers": [{"unit_price": "1", "price": "2"}]}, "a tier has"),
        ("graduated", {"tiers": ["1"]}, "a tier has"),
        ("graduated", {"tiers": list(reversed(TIERS))}, "last tier"),
        ("package", {}, "written as text"),
        ("package", {"size": "0"}, "more than nothing"),
        ("flat", {"allowance": "5"}, "a flat fee has none"),
        ("graduated", {"tiers": [{"unit_price": "-1"}]}, "negative"),
        ("per_unit", [], "named values"),
        ("per_unit", None, "named values"),
    ],
)
def test_a_wrong_row_says_what_is_wrong(model: str, params: Any, words: str) -> None:
    with pytest.raises(PriceError, match=words) as error:
        parse_price(PriceRow("api_calls", model, D(1), params))
    assert str(error.value).count("api_calls: ") == 1


def test_a_negative_price_is_refused() -> None:
    with pytest.raises(PriceError, match=r"^api_calls: .*negative"):
        parse_price(PriceRow("api_calls", "per_unit", D("-0.001")))


def test_the_star_carries_the_minimum_of_the_whole_bill() -> None:
    rows = [PriceRow("*", "flat", D(0), {"minimum": "500"}), PriceRow("api_calls", "per_unit", D("0.001"))]
    version = parse_version("standard v1", ALWAYS, "USD", rows)
    assert version.commitment == Commitment(D(500))
    assert len(version.prices) == 1
    with pytest.raises(PriceError, match="two minimums"):
        parse_version("standard v1", ALWAYS, "USD", [rows[0], rows[0]])


def test_a_fee_has_no_dimension() -> None:
    with pytest.raises(PriceError) as error:
        parse_price(PriceRow("fee", "flat", D(1), {}, "model", "H100"))
    assert str(error.value) == "fee: a flat fee takes no allowance, commitment or dimension"
