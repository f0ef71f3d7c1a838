from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from metering.pricing import PriceVersion, Segment, rate

from .made_up import APRIL, books, usage


@given(books(), usage, st.randoms(use_true_random=False))
def test_any_permutation_gives_the_same_bill(
    versions: tuple[PriceVersion, ...], segments: list[Segment], chance: object
) -> None:
    shuffled, other_versions = list(segments), list(versions)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    chance.shuffle(other_versions)  # type: ignore[attr-defined]
    one, other = rate(segments, versions, APRIL), rate(shuffled, other_versions, APRIL)
    assert [(line.key, line.unrounded, line.amount) for line in one.lines] == [
        (line.key, line.unrounded, line.amount) for line in other.lines
    ]
    assert {(h.reason, h.meter, h.dim_value, h.quantity) for h in one.quarantined} == {
        (h.reason, h.meter, h.dim_value, h.quantity) for h in other.quarantined
    }
