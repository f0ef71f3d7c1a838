from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from metering.reservations.slices import gpu_micro, gpu_seconds, slices

START = datetime(2026, 7, 15, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
instants = st.integers(0, 6 * 3_600_000_000).map(lambda micro: START + timedelta(microseconds=micro))
fractions = st.fractions(min_value=Fraction(1, 10_000), max_value=1, max_denominator=10_000)


def end_of_hour(instant: datetime) -> datetime:
    """Hours of a zone with an offset of half an hour."""
    first = START - timedelta(minutes=30)
    return first + ((instant - first) // HOUR + 1) * HOUR


@given(st.integers(1, 64), fractions, st.lists(instants, min_size=2, max_size=8).map(sorted))
def test_the_sum_is_what_was_held_and_no_slice_crosses_an_hour(gpus, fraction, looks):
    started, *confirmations, end = looks
    since, found = started, []
    for until, final in [*((each, False) for each in confirmations), (end, True)]:
        for each in slices(
            gpus=gpus, fraction=fraction, started_at=started, since=since, until=until, final=final,
            end_of_hour=end_of_hour,
        ):  # fmt: skip
            found.append(each)
            since = each.end
    assert sum(each.micro_seconds for each in found) == gpu_micro(gpus, fraction, started, end)
    assert all(each.end <= end_of_hour(each.start) for each in found)
    once = slices(
        gpus=gpus, fraction=fraction, started_at=started, since=started, until=end, final=True, end_of_hour=end_of_hour
    )
    assert list(once) == found  # the same ids and amounts, whether booked on the way or at the end


@given(st.integers(1, 64), fractions, st.integers(1, 10**6))
def test_what_is_reserved_is_never_less_than_what_can_be_used(gpus, fraction, seconds):
    used = gpu_micro(gpus, fraction, START, START + timedelta(seconds=seconds))
    assert used <= gpu_seconds(gpus, fraction, seconds) * 1_000_000 < used + 2_000_000
