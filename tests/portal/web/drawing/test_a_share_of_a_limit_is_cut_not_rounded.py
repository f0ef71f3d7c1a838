"""80% stands on a page, in a mail or in an answer once the mark of 80% is reached, and not before."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest
from django.template import engines

from metering import money
from metering.mail import wording
from metering.usage import quotas
from portal.web.drawing import gauges
from portal.web.money import budget_reading
from portal.web.writing import formats

NEARLY = Decimal("79.97")


@pytest.mark.parametrize(
    ("part", "whole", "percent", "whole_percent"),
    [
        ("7997", "10000", "79.97", 79),
        ("799999", "1000000", "79.99", 79),
        ("800000", "1000000", "80", 80),
        ("99.999", "100", "99.99", 99),
        ("2", "3", "66.66", 66),
        ("-1", "3", "-33.33", -33),
    ],
)
def test_a_part_never_says_more_than_it_is(part: str, whole: str, percent: str, whole_percent: int) -> None:
    found = money.percent_of(Decimal(part), Decimal(whole))
    assert str(found) == percent
    assert money.whole_percent(found) == whole_percent
    assert money.percent_of(Fraction(part), Fraction(whole)) == found


def test_pages_and_mails_say_the_same() -> None:
    assert formats.reached(NEARLY) == wording.percent(NEARLY) == "79%"
    assert formats.reached(Decimal("99.99")) == "99%"
    assert formats.reached(Decimal("100.4")) == "100%"
    assert formats.reached(Decimal("0.4")) == "< 1%"
    assert formats.reached(None) == formats.NO_VALUE


def test_the_card_of_a_budget() -> None:
    card = budget_reading.describe(Decimal(10_000), Decimal("7997.00"), "USD", [80, 90, 100], None)
    assert card.sentence.startswith("79% spent")
    assert "(79%)" in card.bar.label
    assert not any(tick.passed for tick in card.bar.ticks)


def test_a_cent_over_is_over() -> None:
    card = budget_reading.describe(Decimal(10_000), Decimal("10000.01"), "USD", [], None)
    assert (card.sentence, card.tone) == ("100% spent: over budget.", "bad")


def test_the_gauge_of_a_quota() -> None:
    gauge = gauges.Gauge("gpu_hours", "GPU hours", NEARLY, False, "", "", "", None)
    text = engines["django"].from_string('{% include "components/gauge.html" %}').render({"gauge": gauge})
    assert "79%" in text
    assert "80%" not in text


def test_the_admins_bar() -> None:
    text = engines["django"].from_string("{% load admin_ui %}{% share percent %}").render({"percent": NEARLY})
    assert "79%" in text
    assert "80%" not in text


def test_the_state_of_a_quota_as_the_api_gives_it() -> None:
    limit: Any = SimpleNamespace(limit=Decimal(3), source="tier", mode="hard")
    status = quotas._status("gpu_hours", Decimal("2.39999"), limit, datetime(2026, 8, 1, tzinfo=UTC), False)
    assert status.percent == Decimal("79.99")
