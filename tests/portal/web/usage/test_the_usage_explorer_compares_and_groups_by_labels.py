"""The explorer's address holds the whole question: group by any label of the usage, beside the span before."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from metering.models import UsageRollup
from portal.web.times import ranges
from tests.portal.web.conftest import Cast, text_of

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def used(cast: Cast) -> None:
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    for days, study, hours in ((0, "thorax", 6), (0, "spine", 2), (8, "thorax", 4)):
        UsageRollup.objects.create(
            tenant=cast.acme, meter="gpu_hours", hour=hour - timedelta(days=days), dims_key=f"{days}{study}",
            dims={"study": study}, quantity_micro=hours * 3600 * 10**6, events=1, updated_at=hour,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("query", "first", "last"),
    [
        ({"range": "7d"}, date(2026, 11, 9), date(2026, 11, 15)),
        ({"range": "month"}, date(2026, 10, 1), date(2026, 10, 22)),
        ({"range": "last-month"}, date(2026, 9, 1), date(2026, 9, 30)),
        ({"from": "2026-11-10", "to": "2026-11-11"}, date(2026, 11, 8), date(2026, 11, 9)),
    ],
)
def test_the_span_before_is_as_long_and_ends_where_the_chosen_one_begins(
    query: dict[str, str], first: date, last: date
) -> None:
    found = ranges.before(ranges.parse(query, "UTC", NOW))
    assert (found.first, found.last) == (first, last)


def test_a_short_month_before_is_not_run_over() -> None:
    found = ranges.before(ranges.parse({"range": "month"}, "UTC", datetime(2026, 3, 31, 12, tzinfo=UTC)))
    assert (found.first, found.last) == (date(2026, 2, 1), date(2026, 2, 28))


def test_labels_are_offered_and_compared(browse: Callable[[str], Client], used: None) -> None:
    body = text_of(browse("alice").get("/t/acme/usage?meter=gpu_hours&range=7d&group_by=study&compare=1"))
    assert 'value="study" selected' in body
    assert "thorax" in body
    assert "spine" in body
    assert "+50%" in body, "6 hours of thorax after 4"
    assert "+100%" in body, "8 hours after 4 in all"


def test_without_asking_nothing_is_compared(browse: Callable[[str], Client], used: None) -> None:
    assert "+100%" not in text_of(browse("alice").get("/t/acme/usage?meter=gpu_hours&range=7d"))


def test_the_file_says_which_span_a_row_is_of(browse: Callable[[str], Client], used: None) -> None:
    answer = browse("alice").get("/t/acme/usage?meter=gpu_hours&range=7d&group_by=study&compare=1&format=csv")
    header, *rows = csv.reader(io.StringIO(text_of(answer)))
    assert header == ["start", "end", "study", "gpu_hours (hour)", "span"]
    assert sorted((row[2], row[3], row[4]) for row in rows) == [
        ("spine", "2", "chosen"), ("thorax", "4", "before"), ("thorax", "6", "chosen"),
    ]  # fmt: skip


@pytest.mark.parametrize("group", ["%27%3B--", "x" * 80, "<b>"])
def test_what_cannot_be_a_label_is_ignored(browse: Callable[[str], Client], group: str) -> None:
    answer = browse("alice").get("/t/acme/usage", {"group_by": group})
    assert answer.status_code == 200
    assert f'value="{group}"' not in text_of(answer)
