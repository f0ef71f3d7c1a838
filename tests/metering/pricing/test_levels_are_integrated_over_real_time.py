from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.periods import month_period
from metering.pricing import PriceError, Reading, integrate_level, priced_quantity

MARCH = month_period("Europe/Zurich", 2026, 3)
HOUR = timedelta(hours=1)
readings = st.lists(
    st.builds(lambda second, size: Reading(MARCH.start + timedelta(seconds=second), size), st.integers(-10**5, 3 * 10**6), st.integers(0, 10**15)),
    max_size=8,
)  # fmt: skip


@given(readings, st.none() | st.integers(0, 10**15), st.integers(0, MARCH.seconds), st.none() | st.integers(0, 10**6))
def test_two_halves_make_the_whole(some: list[Reading], opening: int | None, cut: int, hold: int | None) -> None:
    """Nothing is lost at a cut, if the second half opens with the last size known (and, with a limit, the first one's readings)."""
    limit = None if hold is None else timedelta(seconds=hold)
    middle = MARCH.start + timedelta(seconds=cut)
    whole = integrate_level(some, MARCH.start, MARCH.end, opening=opening, hold_for=limit)
    first = integrate_level(some, MARCH.start, middle, opening=opening, hold_for=limit)
    known = sum((end - start for start, end in whole.gaps), timedelta())
    assert first.unit_seconds <= whole.unit_seconds
    assert known <= MARCH.end - MARCH.start
    if limit is None:
        before = [reading for reading in some if reading.at <= middle]
        last = (
            max(before, key=lambda reading: (max(reading.at, MARCH.start), reading.at, reading.size)).size
            if before
            else opening
        )
        after = [reading for reading in some if reading.at > middle]
        second = integrate_level(after, middle, MARCH.end, opening=last)
        assert first.unit_seconds + second.unit_seconds == whole.unit_seconds


@given(readings, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(some: list[Reading], chance: object) -> None:
    shuffled = list(some)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert integrate_level(some, MARCH.start, MARCH.end) == integrate_level(shuffled, MARCH.start, MARCH.end)


def test_the_same_size_read_often_is_the_same_size() -> None:
    often = [Reading(MARCH.start + count * HOUR / 7, 10**9) for count in range(5000)]
    assert integrate_level(often, MARCH.start, MARCH.end).unit_seconds == 10**9 * MARCH.seconds
    assert priced_quantity(10**9 * MARCH.seconds * 10**6, 10**9, MARCH) == 1


def test_what_is_unknown_is_a_gap() -> None:
    one = [Reading(MARCH.start + 5 * HOUR, 7)]
    integral = integrate_level(one, MARCH.start, MARCH.end, hold_for=2 * HOUR)
    assert integral.unit_seconds == 7 * 7200
    assert integral.gaps == ((MARCH.start, MARCH.start + 5 * HOUR), (MARCH.start + 7 * HOUR, MARCH.end))
    assert integrate_level([], MARCH.start, MARCH.end).gaps == ((MARCH.start, MARCH.end),)


def test_a_size_is_not_negative() -> None:
    with pytest.raises(PriceError):
        integrate_level([Reading(MARCH.start, -1)], MARCH.start, MARCH.end)


@pytest.mark.parametrize(("micro", "factor"), [(1.5, 1), (True, 1), ("1", 1), (1, 0), (1, -3600)])
def test_stored_quantities_are_whole(micro: object, factor: int) -> None:
    with pytest.raises(PriceError):
        priced_quantity(micro, factor)  # type: ignore[arg-type]


def test_a_third_of_an_hour_is_a_third() -> None:
    assert priced_quantity(1200 * 10**6, 3600) == Fraction(1, 3)
