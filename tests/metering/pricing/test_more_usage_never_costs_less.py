from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from metering.pricing import Graduated, Package, PerUnit, Price, PriceVersion, Segment, Tier, UsageCharge, Volume, rate

from .made_up import ALWAYS, APRIL, charges

quantities = st.fractions(0, 600, max_denominator=3600)


def cost(charge: UsageCharge, quantity: Fraction, allowance: Decimal = Decimal(0)) -> Fraction:
    version = PriceVersion("book v1", ALWAYS, "USD", (Price("gpu_hours", charge, allowance=allowance),))
    return rate([Segment("gpu_hours", quantity, APRIL.start)], [version], APRIL).lines[0].unrounded


@given(charges().filter(lambda charge: not isinstance(charge, Volume)), quantities, quantities)
def test_every_model_but_volume_is_monotone(
    charge: PerUnit | Graduated | Package, one: Fraction, more: Fraction
) -> None:
    assert cost(charge, one) <= cost(charge, one + more)


@given(charges(), quantities)
def test_nothing_costs_less_than_nothing(charge: UsageCharge, quantity: Fraction) -> None:
    assert cost(charge, quantity) >= 0


@given(charges().filter(lambda charge: not isinstance(charge, Volume)), quantities)
def test_an_allowance_never_costs(charge: PerUnit | Graduated | Package, quantity: Fraction) -> None:
    assert cost(charge, quantity, Decimal(25)) <= cost(charge, quantity)


def test_volume_may_fall_at_a_step_and_says_so() -> None:
    ladder = Volume((Tier(Decimal(1000), Decimal("0.002")), Tier(None, Decimal("0.001"))))
    assert cost(ladder, Fraction(1001)) < cost(ladder, Fraction(1000))
    assert "can fall" in (Volume.__doc__ or "")
