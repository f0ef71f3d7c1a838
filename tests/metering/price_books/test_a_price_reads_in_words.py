from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from metering.models import Meter, Price
from metering.prices.in_words import price_in_words

METERS = {
    "api_calls": Meter(key="api_calls", name="API calls", billing_unit="call"),
    "gpu_hours": Meter(key="gpu_hours", name="GPU hours", billing_unit="GPU hour"),
}
TIERS = [
    {"up_to": "1000", "unit_price": "0.002", "flat": "5"},
    {"up_to": "5000", "unit_price": "0.0015"},
    {"up_to": None, "unit_price": "0.001", "flat": "0"},
]


@pytest.mark.parametrize(
    ("meter", "model", "unit_price", "params", "said"),
    [
        ("gpu_hours", "per_unit", "3.1000", {}, "GPU hours: 3.1 USD per GPU hour"),
        ("api_calls", "per_unit", "0.0005", {"allowance": "1000"},
         "API calls: 0.0005 USD per call; the first 1,000 calls of a month are free"),
        ("api_calls", "graduated", "0", {"tiers": TIERS},
         "API calls: 0.002 USD per call for the first 1,000 and 5 USD once it begins, 0.0015 USD per call for the next 4,000, "
         "0.001 USD per call beyond"),
        ("api_calls", "graduated", "0", {"tiers": [{"unit_price": "0.01"}]}, "API calls: 0.01 USD per call"),
        ("api_calls", "volume", "0", {"tiers": TIERS},
         "API calls: all at one price: 0.002 USD per call in a month of up to 1,000 calls and 5 USD for it, "
         "0.0015 USD per call in a month of up to 5,000 calls, 0.001 USD per call in a month of more"),
        ("api_calls", "package", "12", {"size": "10000"}, "API calls: 12 USD per package of 10,000 calls, started ones in full"),
        ("platform_fee", "flat", "1250", {}, "Platform fee: 1,250 USD a month"),
        ("*", "flat", "0", {"minimum": "100.00", "overage_factor": "1.5"},
         "Whole bill: at least 100 USD a month for all usage together; what usage costs beyond that counts 1.5 times"),
    ],
)  # fmt: skip
def test_every_charge_model_has_its_sentence(
    meter: str, model: str, unit_price: str, params: dict[str, Any], said: str
) -> None:
    price = Price(meter=meter, charge_model=model, unit_price=Decimal(unit_price), params=params)
    assert price_in_words(price, "USD", METERS) == said


def test_a_price_for_one_value_names_it() -> None:
    price = Price(
        meter="gpu_hours", charge_model="per_unit", unit_price=Decimal("2.5"), dim_key="model", dim_value="H100"
    )
    assert price_in_words(price, "EUR", METERS) == "GPU hours, H100: 2.5 EUR per GPU hour"
