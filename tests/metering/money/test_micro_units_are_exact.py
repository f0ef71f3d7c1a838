from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.money import MoneyError, from_micro, from_micro_cents, to_micro, to_micro_cents


@given(st.integers(-(10**38), 10**38))
def test_ledger_integers_read_back(micro: int) -> None:
    assert to_micro(from_micro(micro)) == micro


def test_nothing_is_rounded_into_the_ledger() -> None:
    assert to_micro(Decimal("0.5")) == 500_000
    with pytest.raises(MoneyError):
        to_micro(Fraction(1, 3))


@given(st.integers(-(10**20), 10**20))
def test_micro_cents_read_back(micro_cents: int) -> None:
    assert to_micro_cents(from_micro_cents(micro_cents)) == micro_cents


def test_a_micro_cent_is_a_millionth_of_a_cent() -> None:
    assert to_micro_cents(Decimal("0.01")) == 10**6
    assert to_micro_cents(Fraction(1, 3)) == 33_333_333
