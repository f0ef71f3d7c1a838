from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from metering.periods import PeriodError, hour_period, parse, period_at, resets_at, utc, zone


@pytest.mark.parametrize(
    "key",
    ["", "2026", "2026-3", "2026-13", "2026-00", "2026-Q0", "2026-Q5", "2026-q1", "2026-02-29", "2026-03-32", "2026-03-29T05", "2026-03-29T25:00Z", "2026-03-29T05:00",
     "2026-03-29T05:30Z", "２０２６-03", " 2026-03", "2026-03\n", "2026-03-01/2026-04-01", "1969-12", "9999-12", "0000-01", "26-03", "-2026-03"],
)  # fmt: skip
def test_other_keys_are_refused(key: str) -> None:
    with pytest.raises(PeriodError):
        parse("Europe/Zurich", key)


@pytest.mark.parametrize("key", [None, 202603, b"2026-03"])
def test_a_key_is_text(key: object) -> None:
    with pytest.raises(PeriodError):
        parse("UTC", key)  # type: ignore[arg-type]


def test_an_hour_s_key_is_its_utc_start() -> None:
    assert parse("Asia/Kolkata", "2026-03-29T05:30Z").start == datetime(2026, 3, 29, 5, 30, tzinfo=UTC)
    with pytest.raises(PeriodError, match="no hour"):
        parse("Asia/Kolkata", "2026-03-29T05:00Z")


@pytest.mark.parametrize(
    "name", ["Europe/Zurich", "UTC", "Etc/GMT+5", "America/Argentina/Buenos_Aires", "America/Port-au-Prince"]
)
def test_iana_zones_are_taken(name: str) -> None:
    assert zone(name).key == name
    assert zone(zone(name)) is zone(name)


@pytest.mark.parametrize(
    "name",
    ["", "Mars/Olympus", "localtime", "posixrules", "Factory", "posix/UTC", "right/UTC", "../../etc/passwd", "/etc/localtime", "America", "europe/zurich", "UTC+1", "Europe/Zürich", "UTC\x00", "zone.tab", "A" * 300],
)  # fmt: skip
def test_other_zones_are_refused(name: str) -> None:
    with pytest.raises(PeriodError):
        zone(name)


@pytest.mark.parametrize("name", [None, 1, UTC, timezone(timedelta(hours=1))])
def test_a_zone_is_a_place_and_not_an_offset(name: object) -> None:
    with pytest.raises(PeriodError):
        zone(name)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "instant",
    [datetime(2026, 3, 1), datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, tzinfo=UTC), "2026-03-01", None],
)  # fmt: skip
def test_an_instant_is_aware_and_of_our_times(instant: object) -> None:
    for read in (
        utc,
        lambda at: period_at("UTC", at),
        lambda at: hour_period("UTC", at),
        lambda at: resets_at("UTC", at),
    ):
        with pytest.raises(PeriodError):
            read(instant)  # type: ignore[arg-type]


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(PeriodError, match="kind"):
        period_at("UTC", datetime(2026, 3, 1, tzinfo=UTC), "week")  # type: ignore[arg-type]
