from __future__ import annotations

from decimal import Decimal

import pytest

from portal.web.drawing import components


@pytest.mark.parametrize(
    ("percent", "tone"),
    [(None, ""), ("0", ""), ("79.9", ""), ("80", "warn"), ("99.9", "warn"), ("100", "bad"), ("340", "bad")],
)
def test_a_share_warns_from_80_and_is_bad_from_100(percent: str | None, tone: str) -> None:
    assert components.tone(None if percent is None else Decimal(percent)) == tone


def test_a_bar_is_as_long_as_its_share() -> None:
    drawn = components.bar(Decimal("62.4"), label="x", color="api_calls", ghost=Decimal("91.3"))
    assert (drawn.fill, drawn.ghost, drawn.color) == ("62.40%", "91.30%", "api_calls")


def test_a_bar_never_leaves_its_box() -> None:
    assert components.bar(Decimal(340), label="x").fill == "100.00%"
    assert components.bar(Decimal(-5), label="x").fill == "0.00%"


def test_what_is_expected_is_drawn_only_beyond_what_is_used() -> None:
    assert components.bar(Decimal(50), label="x", ghost=Decimal(40)).ghost is None


def test_an_overrun_keeps_the_thresholds_in_sight() -> None:
    drawn = components.bar(Decimal(120), label="x", ticks=[(Decimal(100), "$10,000")], full_scale=Decimal(125))
    assert drawn.fill == "96.00%"
    assert drawn.ticks[0].x == "80.00%"
    assert drawn.ticks[0].passed


def test_widths_have_a_point_in_every_language() -> None:
    from django.utils import translation

    with translation.override("de"):
        assert components.bar(Decimal("62.4"), label="x").fill == "62.40%"


def test_a_line_needs_two_points() -> None:
    assert components.sparkline([Decimal(5)], label="x") is None
    assert components.sparkline([Decimal(0), Decimal(0)], label="x") is None, "nothing has no course"
    drawn = components.sparkline([Decimal(0), Decimal(10)], label="x")
    assert drawn is not None
    assert drawn.line == "0.00,31.00 100.00,2.00"


def test_labels_that_would_touch_are_left_out_but_never_the_amount() -> None:
    marks = [(Decimal(80), "80%"), (Decimal(90), "90%"), (Decimal(100), "$1,011.48")]
    drawn = components.bar(Decimal(50), label="x", ticks=marks, full_scale=Decimal(130))
    assert [tick.label for tick in drawn.ticks] == ["80%", "", "$1,011.48"]
    assert len(drawn.ticks) == 3


def test_a_label_at_the_end_leaves_room_for_its_whole_length() -> None:
    ticks = [(Decimal(80), "80%"), (Decimal(90), "90%"), (Decimal(100), "$1,350")]
    drawn = components.bar(Decimal(81), label="", ticks=ticks)
    assert [tick.label for tick in drawn.ticks] == ["80%", "", "$1,350"], "the amount ends at 100 and begins at 88"
