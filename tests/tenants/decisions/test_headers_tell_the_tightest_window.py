from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tenants.decisions import Decision, WindowState, header_values, headers

NOW = 1_795_305_600_000
RESET = 1_796_083_200


def decision(*windows: WindowState, **values: object) -> Decision:
    return Decision(**({"code": "", "now_ms": NOW, "windows": windows, "resets_at": RESET} | values))  # type: ignore[arg-type]


MINUTE, HOUR, DAY = (
    WindowState("minute", 60, 59, 60_000),
    WindowState("hour", 1_000, 3, 120_001),
    WindowState("day", 10_000, 9, 1),
)


def test_the_fewest_calls_left_is_the_tightest() -> None:
    fields = dict(headers(decision(MINUTE, HOUR, DAY)))
    assert fields["X-RateLimit-Limit"] == "1000"
    assert fields["X-RateLimit-Remaining"] == "3"
    assert fields["X-RateLimit-Reset"] == str(NOW // 1000 + 121)
    assert fields["RateLimit"] == '"minute";r=59;t=60, "hour";r=3;t=121, "day";r=9;t=1'
    assert fields["RateLimit-Policy"] == '"minute";q=60;w=60, "hour";q=1000;w=3600, "day";q=10000;w=86400'
    assert "Retry-After" not in fields


def test_a_refusal_tells_the_window_that_refused() -> None:
    windows = (WindowState("minute", 60, 0, 5_000), WindowState("hour", 1_000, 4, 90_000))
    refused = decision(*windows, code="rate_limit_exceeded", refused_by="hour", retry_after_ms=89_500)
    fields = dict(headers(refused))
    assert (fields["X-RateLimit-Limit"], fields["X-RateLimit-Remaining"]) == ("1000", "4")
    assert (fields["Retry-After"], fields["X-RateLimit-Reset"]) == ("90", str(NOW // 1000 + 90))


def test_the_quota_is_told_as_month_and_stands_in_where_no_window_is_limited() -> None:
    fields = dict(headers(decision(quota=100, used=40)))
    assert (fields["X-RateLimit-Limit"], fields["X-RateLimit-Remaining"], fields["X-RateLimit-Reset"]) == (
        "100",
        "60",
        str(RESET),
    )
    assert fields["RateLimit-Policy"] == '"month";q=100'
    assert fields["RateLimit"] == f'"month";r=60;t={RESET - NOW // 1000}'


def test_a_soft_quota_that_is_passed_has_nothing_left() -> None:
    assert '"month";r=0;' in header_values(decision(quota=100, used=140))[4]


def test_where_nothing_is_limited_there_is_nothing_to_tell() -> None:
    assert headers(decision()) == []
    assert headers(Decision("invalid_key")) == [("WWW-Authenticate", 'Bearer realm="api"')]


def test_an_outage_says_when_to_come_back() -> None:
    assert dict(headers(Decision("enforcement_unavailable", retry_after_ms=1))) == {"Retry-After": "1"}


item = r'"(minute|hour|day|month)";r=\d+;t=\d+'
windows = st.builds(
    WindowState,
    st.sampled_from(["minute", "hour", "day"]),
    st.integers(0, 10**9),
    st.integers(0, 10**9),
    st.integers(0, 10**8),
)


@given(
    st.lists(windows, min_size=1, max_size=3, unique_by=lambda window: window.name), st.integers(0, 10**12) | st.none()
)
def test_the_fields_are_structured_lists(states: list[WindowState], quota: int | None) -> None:
    values = header_values(decision(*states, quota=quota, used=3))
    assert re.fullmatch(rf"{item}(, {item})*", values[4])
    assert all(value.isdigit() for value in values[:3])
    assert int(values[1]) == min(state.left for state in states)
