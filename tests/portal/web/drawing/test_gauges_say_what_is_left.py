from __future__ import annotations

from decimal import Decimal

import pytest

from portal.web.drawing import gauges


@pytest.mark.parametrize(
    ("used", "limit", "sentence", "left"),
    [
        ("812403", "1000000", "812,403 of 1,000,000 calls used, 187,597 left", "187,597 left"),
        ("1000000", "1000000", "1,000,000 of 1,000,000 calls used, 0 left", "0 left"),
        ("1000500", "1000000", "1,000,500 of 1,000,000 calls used, 500 over", "500 over"),
        ("12", None, "12 calls used, no limit", "no limit"),
        ("0", "0", "0 calls used; this plan includes none", "this plan includes none"),
    ],
)
def test_gauges_say_what_is_left(used: str, limit: str | None, sentence: str, left: str) -> None:
    bound = None if limit is None else Decimal(limit)
    assert gauges.sentence(Decimal(used), bound, "call") == sentence
    assert gauges.left_of(Decimal(used), bound) == left
