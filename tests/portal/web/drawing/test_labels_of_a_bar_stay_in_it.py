from __future__ import annotations

from decimal import Decimal

import pytest

from portal.web.drawing import components


@pytest.mark.parametrize(
    ("mark", "label", "anchor"),
    [("0.5", "1%", "start"), ("2", "$24.01", "start"), ("9", "$24.01", "middle"), ("50", "50%", "middle"), ("100", "$10,000", "end")],
)  # fmt: skip
def test_a_label_near_an_end_is_written_inwards(mark: str, label: str, anchor: str) -> None:
    (tick,) = components.bar(Decimal(10), label="x", ticks=[(Decimal(mark), label)]).ticks
    assert (tick.label, tick.anchor) == (label, anchor)


def test_what_starts_at_its_mark_takes_its_room_to_the_right() -> None:
    ticks = components.bar(Decimal(10), label="x", ticks=[(Decimal(1), "$24.01"), (Decimal(14), "14%")]).ticks
    assert [tick.label for tick in ticks] == ["", "14%"], "twelve percent wide from 1 % on, it would touch the next one"


def test_no_change_has_no_sign() -> None:
    assert components.diff(Decimal("100.2"), Decimal(100)).text == "0%"
    assert components.diff(Decimal("99.8"), Decimal(100)).text == "0%"
    assert components.diff(Decimal("98"), Decimal(100)).text == "−2%"
