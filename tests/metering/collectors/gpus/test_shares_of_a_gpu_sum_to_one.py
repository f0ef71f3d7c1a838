"""Whatever overlaps: nobody pays for more than the device, and while someone is on it, all of it is accounted for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from metering.attribution.policy import Hold, divide, shares_at, whole

ZERO = datetime(2026, 7, 15, 12, 0, tzinfo=UTC)
LENGTH = 60_000_000
micros = st.integers(min_value=-LENGTH, max_value=2 * LENGTH)
tenants = st.sampled_from(["acme", "globex", "initech", None])


def at(micro: int) -> datetime:
    return ZERO + timedelta(microseconds=micro)


@st.composite
def holds(draw: st.DrawFn) -> list[Hold]:
    processes = [Hold(draw(tenants), at(draw(micros)), process="p") for _ in range(draw(st.integers(0, 8)))]
    fixed = []
    for _ in range(draw(st.integers(0, 3))):
        start = draw(micros)
        end = draw(st.one_of(st.none(), st.integers(start + 1, start + LENGTH)))
        share = draw(st.fractions(min_value=Fraction(1, 10_000), max_value=1, max_denominator=10_000))
        fixed.append(Hold(draw(tenants.filter(bool)), at(start), None if end is None else at(end), share))
    return draw(st.permutations(processes + fixed))


@given(holds(), st.integers(0, LENGTH))
def test_shares_at_an_instant(everyone, micro):
    shares = shares_at(everyone, at(micro))
    present = [hold for hold in everyone if hold.since <= at(micro) and (hold.until is None or at(micro) < hold.until)]

    assert sum(shares.values()) <= 1
    assert all(share >= 0 for share in shares.values())
    if any(hold.share is None for hold in present) and not {h.tenant for h in present if h.share is None} <= {
        h.tenant for h in present if h.share is not None
    }:
        assert sum(shares.values()) == 1


@given(holds())
def test_divided_time_is_at_most_the_time(everyone):
    amounts = divide(everyone, at(0), at(LENGTH))

    assert sum(amounts.values()) <= LENGTH
    for tenant, amount in amounts.items():
        mine = [hold for hold in everyone if hold.tenant == tenant]
        held = max((min(hold.until or at(LENGTH), at(LENGTH)) for hold in mine), default=at(0)) - max(
            at(0), min((hold.since for hold in mine), default=at(LENGTH))
        )
        assert amount <= held // timedelta(microseconds=1)


@given(holds(), st.integers(1, LENGTH - 1))
def test_splitting_the_interval_changes_nothing(everyone, cut):
    parts = [divide(everyone, at(0), at(cut)), divide(everyone, at(cut), at(LENGTH))]
    together = divide(everyone, at(0), at(LENGTH))

    assert together == {t: sum((part.get(t, Fraction(0)) for part in parts), Fraction(0)) for t in together}


@given(st.dictionaries(tenants, st.fractions(min_value=0, max_value=10**9), min_size=1))
def test_whole_numbers_keep_the_sum(amounts):
    rounded = whole(amounts)

    assert sum(rounded.values()) == int(sum(amounts.values()))
    assert all(abs(rounded[tenant] - amount) < 1 for tenant, amount in amounts.items())
