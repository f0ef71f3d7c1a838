from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from metering.ledger import ingestion, rollups
from tenants.limiting import overrides, quota_requests
from tenants.models import QuotaRequest
from tests.tenants.cast import Cast

from .conftest import Browse, text_of

MOST = 12


@pytest.fixture
def row(cast: Cast) -> QuotaRequest:
    wish = quota_requests.Wish("quota", "gpu_hours", Decimal(150), "Training")
    return quota_requests.request(
        cast.acme, wish, by=None, actor="user:alice", user=cast.people["alice"], now=timezone.now()
    )


def page(row: QuotaRequest, name: str = "change") -> str:
    return reverse(f"admin:tenants_quotarequest_{name}", args=[row.pk])


def test_the_dashboard_counts_what_waits(browse: Browse, row: QuotaRequest) -> None:
    assert "1 waits" in text_of(browse("olivia").get(reverse("admin:index")))


def test_the_list_has_what_waits_first(browse: Browse, cast: Cast, row: QuotaRequest) -> None:
    wish = quota_requests.Wish("quota", "storage_gb", Decimal(5000), "Archive")
    other = quota_requests.request(cast.acme, wish, by=None, actor="a", user=None, now=timezone.now())
    quota_requests.deny(cast.acme, other.public_id, reason="x", actor="a", decided_by=None, now=timezone.now())
    body = text_of(browse("olivia").get(reverse("admin:tenants_quotarequest_changelist")))
    assert body.index(page(row)) < body.index(page(other))
    only = text_of(browse("olivia").get(reverse("admin:tenants_quotarequest_changelist") + "?state__exact=denied"))
    assert page(other) in only
    assert page(row) not in only


def test_the_impact_shows_use_and_the_cost_of_all_that_is_more(browse: Browse, cast: Cast, row: QuotaRequest) -> None:
    now = timezone.now()
    event = {
        "id": "1",
        "source": "/t",
        "type": "gpu_hours",
        "time": now.isoformat(),
        "data": {"quantity": "10", "model": "H100"},
    }
    assert ingestion.book(cast.acme, [event], now)[0].status == "accepted"
    rollups.run(now)
    body = text_of(browse("olivia").get(page(row, "impact")))
    assert "$125.00" in body, "50 hours of an H100 at $2.50"
    assert "chart-request-" in body


def test_pages_ask_few_queries(browse: Browse, row: QuotaRequest) -> None:
    olivia = browse("olivia")
    for url in (page(row), reverse("admin:tenants_quotarequest_changelist")):
        olivia.get(url)
        with CaptureQueriesContext(connection) as queries:
            assert olivia.get(url).status_code == 200
        assert len(queries) <= MOST, [each["sql"][:120] for each in queries.captured_queries]


def test_granting_in_part_asks_first(browse: Browse, cast: Cast, row: QuotaRequest) -> None:
    olivia, url = browse("olivia"), page(row, "approve")
    assert "150" in text_of(olivia.get(url))
    values: dict[str, Any] = {
        "confirmed": "1",
        "granted": "120",
        "valid_until_0": "",
        "valid_until_1": "",
        "reason": "",
    }
    assert "only a part" in text_of(olivia.post(url, values))
    answer = olivia.post(url, values | {"reason": "As many as are free"})
    assert (answer.status_code, answer["Location"]) == (302, page(row))
    row.refresh_from_db()
    assert (row.state, row.granted, row.decided_by) == ("approved", 120, cast.people["olivia"])
    assert overrides.effective_policy(cast.acme, timezone.now()).quota("gpu_hours").limit == 120
    assert page(row, "approve") not in text_of(olivia.get(page(row)))


def test_denying_says_why(browse: Browse, row: QuotaRequest) -> None:
    olivia = browse("olivia")
    olivia.post(page(row, "deny"), {"confirmed": "1", "reason": ""})
    row.refresh_from_db()
    assert row.state == "pending"
    olivia.post(page(row, "deny"), {"confirmed": "1", "reason": "No nodes"})
    row.refresh_from_db()
    assert (row.state, row.decision_reason) == ("denied", "No nodes")


def test_support_looks_and_decides_nothing(browse: Browse, row: QuotaRequest) -> None:
    sam = browse("sam")
    assert sam.get(page(row)).status_code == 200
    assert sam.post(page(row, "deny"), {"confirmed": "1", "reason": "x"}).status_code in (302, 403)
    row.refresh_from_db()
    assert row.state == "pending"
