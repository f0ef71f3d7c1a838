from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from metering.pricing import BookInForce, PerUnit, Price, PriceVersion, cuts, timeline, version_at

from .made_up import ALWAYS, APRIL


def version(ref: str, starts_at: datetime) -> PriceVersion:
    return PriceVersion(ref, starts_at, "USD", (Price("api_calls", PerUnit(Decimal(1))),))


def at(day: int) -> datetime:
    return datetime(2026, 4, day, tzinfo=UTC)


TIER = (version("tier v1", ALWAYS), version("tier v2", at(15)))
OWN = (version("own v1", ALWAYS), version("own v2", at(12)))


def refs(versions: tuple[PriceVersion, ...]) -> list[tuple[str, datetime, datetime | None]]:
    return [(each.ref, each.starts_at, each.ends_at) for each in versions]


def test_the_tenant_s_own_book_wins_while_it_is_in_force() -> None:
    found = timeline([BookInForce(TIER, ALWAYS)], [BookInForce(OWN, at(10), at(20))])
    assert refs(found) == [
        ("tier v1", ALWAYS, at(10)),
        ("own v1", at(10), at(12)),
        ("own v2", at(12), at(20)),
        ("tier v2", at(20), None),
    ]


def test_a_book_without_a_started_version_leaves_the_tier_s_in_force() -> None:
    later = (version("own v1", at(15)),)
    found = timeline([BookInForce(TIER[:1], ALWAYS)], [BookInForce(later, at(10))])
    assert refs(found) == [("tier v1", ALWAYS, at(15)), ("own v1", at(15), None)]


def test_no_book_is_no_price() -> None:
    assert timeline() == ()
    assert refs(timeline([BookInForce(TIER, at(1), at(3))])) == [("tier v1", at(1), at(3))]


@given(st.integers(1, 28), st.integers(1, 28), st.integers(1, 30))
def test_at_every_instant_the_right_version_holds(start: int, length: int, day: int) -> None:
    own = BookInForce(OWN, at(start), at(start) + timedelta(days=length))
    instant = at(day) + timedelta(hours=7)
    expected = version_at(OWN if own.starts_at <= instant < (own.ends_at or instant) else TIER, instant)
    found = version_at(timeline([BookInForce(TIER, ALWAYS)], [own]), instant)
    assert found is not None
    assert expected is not None
    assert found.ref == expected.ref


def test_cuts_are_where_prices_change() -> None:
    assert cuts(TIER, APRIL) == [(APRIL.start, at(15)), (at(15), APRIL.end)]
    assert cuts([], APRIL) == [(APRIL.start, APRIL.end)]
