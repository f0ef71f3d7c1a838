from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape

from django.test import Client
from django.utils import timezone

from metering.models import UsageRollup
from tests.portal.web.conftest import Cast, text_of

HTMX = {"HX-Request": "true"}


def used(cast: Cast) -> None:
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    UsageRollup.objects.create(
        tenant=cast.acme, meter="gpu_hours", hour=hour, dims_key="x", dims={"model": "H100", "user": "bob"},
        quantity_micro=7 * 3600 * 10**6, events=1, updated_at=hour - timedelta(0),
    )  # fmt: skip


def test_the_page_holds_a_place_for_them_and_a_link_for_readers_without_scripts(
    cast: Cast, browse: Callable[[str], Client]
) -> None:
    used(cast)
    html = browse("alice").get("/t/acme/").content.decode()
    assert "data-chart" not in html
    assert 'hx-get="/t/acme/?part=charts"' in html
    assert '<noscript><p><a class="btn" href="?part=charts#charts">' in html
    plain = browse("alice").get("/t/acme/?part=charts")
    assert "Cost this month" in text_of(plain), "the whole page, with them in it"
    assert plain.content.decode().count("data-chart=") == 3, (
        "cost by day, its course, GPU hours; calls and storage are empty"
    )
    assert "7 GPU hours" in text_of(plain), "as a table too"


def test_to_htmx_they_come_alone_with_their_numbers(cast: Cast, browse: Callable[[str], Client]) -> None:
    used(cast)
    alone = browse("alice").get("/t/acme/?part=charts", headers=HTMX).content.decode()
    assert "<html" not in alone
    assert "Quotas this month" not in alone
    assert "<script" not in alone, "htmx takes scripts out"
    found = re.search(r'<template id="chart-gpu_hours">(.*?)</template>', alone)
    assert found is not None
    assert max(json.loads(unescape(found[1]))["series"][0]["values"]) == 7.0
    numbers = browse("alice").get("/t/acme/", headers=HTMX).content.decode()
    assert "Quotas this month" in numbers
    assert "data-chart" not in numbers


def test_a_member_sees_charts_of_their_own_usage_and_no_costs(cast: Cast, browse: Callable[[str], Client]) -> None:
    used(cast)
    body = text_of(browse("bob").get("/t/acme/?part=charts", headers=HTMX))
    assert "Your own usage" in body
    assert "Storage" not in body, "what lies somewhere is nobody's own"
    assert "$" not in body


def test_before_the_first_use_one_sentence_stands_there(cast: Cast, browse: Callable[[str], Client]) -> None:
    alone = browse("alice").get("/t/acme/?part=charts", headers=HTMX)
    assert "Nothing was used this month yet" in text_of(alone)
    assert "data-chart" not in alone.content.decode()
