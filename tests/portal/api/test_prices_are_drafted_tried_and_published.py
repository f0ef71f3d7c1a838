from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.utils import timezone

from metering.costing import price_dry_runs
from metering.models import PriceBook, PriceBookVersion
from tenants.models import AuditEntry

from .calling import Api, Callers

BOOK = "price-books/default/versions"
START = "2040-01-01T00:00:00Z"
PRICE = {"meter": "gpu_hours", "model": "per_unit", "unit_price": "2.75"}


@pytest.fixture
def operator(callers: Callers) -> Api:
    return callers.token("olivia")


def draft(operator: Api, **changed: Any) -> Any:
    return operator.send("POST", BOOK, {"starts_at": START, "prices": [PRICE], **changed})


def test_a_draft_is_tried_and_then_published(operator: Api) -> None:
    answer = draft(operator)
    assert answer.status_code == 201, answer.content
    assert answer.json()["number"] == 2
    assert answer.json()["prices"][0]["unit_price"] == "2.75"
    path = f"{BOOK}/2"
    assert operator.send("GET", f"{path}/dry-run").status_code == 404
    refused = operator.send("POST", f"{path}/publish", {"reason": "2040"})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")

    assert operator.send("POST", f"{path}/dry-run").json()["state"] == "queued"
    assert price_dry_runs.work_queue(timezone.now()) == 1
    run = operator.send("GET", f"{path}/dry-run").json()
    assert (run["state"], run["allows_publishing"], run["total"]) == ("done", True, run["done"])

    published = operator.send("POST", f"{path}/publish", {"reason": "Price list of 2040"})
    assert (published.status_code, published.json()["state"]) == (200, "published")
    entry = AuditEntry.objects.filter(table_name="metering_pricebookversion", operation="UPDATE").latest("id")
    assert entry.actor.endswith("(olivia)")
    assert entry.reason == "Price list of 2040"


def test_without_prices_it_begins_as_a_copy(operator: Api) -> None:
    answer = operator.send("POST", BOOK, {"starts_at": START})
    assert {price["meter"] for price in answer.json()["prices"]} == {"api_calls", "gpu_hours", "storage_gb"}


def test_a_start_in_the_past_needs_force(operator: Api) -> None:
    assert draft(operator, starts_at="2026-01-01T00:00:00Z").status_code == 201
    operator.send("POST", f"{BOOK}/2/dry-run")
    price_dry_runs.work_queue(timezone.now())
    refused = operator.send("POST", f"{BOOK}/2/publish", {"reason": "a contract"})
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["code"] == "invalid_start"
    forced = operator.send("POST", f"{BOOK}/2/publish", {"reason": "a contract", "force": True})
    assert forced.json()["state"] == "started"


@pytest.mark.parametrize(
    "changed",
    [
        {"starts_at": "tomorrow"},
        {"starts_at": "2040-01-01T00:00:00"},
        {"prices": [PRICE | {"unit_price": "-1"}]},
        {"prices": [PRICE | {"unit_price": "NaN"}]},
        {"prices": [PRICE | {"unit_price": "1e30"}]},
        {"prices": [PRICE | {"unit_price": "0.00000000001"}]},
        {"prices": [PRICE | {"unit_price": 2.75}]},
        {"prices": [PRICE, PRICE]},
        {"prices": [PRICE | {"meter": "coffee"}]},
        {"prices": [PRICE | {"model": "gift"}]},
        {"prices": [PRICE | {"params": {"allowance": "-1"}}]},
        {"prices": [PRICE | {"params": {"allowance": 1}}]},
        {"prices": [PRICE | {"params": []}]},
        {"prices": [{"meter": "support", "model": "flat", "unit_price": "99", "params": {"allowance": "1"}}]},
        {"prices": [PRICE | {"model": "graduated", "params": {"tiers": [{"up_to": "9", "unit_price": "1"}, {"up_to": "5", "unit_price": "1"}, {"unit_price": "1"}]}}]},
        {"prices": [PRICE | {"dim_value": "H100"}]},
        {"strange": 1},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_and_nothing_is_written(operator: Api, changed: dict[str, Any]) -> None:
    answer = draft(operator, **changed)
    assert answer.status_code == 400, answer.content
    assert answer.json()["code"] == "validation_error"
    assert PriceBookVersion.objects.count() == 1


def test_two_versions_cannot_start_together(operator: Api) -> None:
    assert draft(operator).status_code == 201
    assert draft(operator).json()["errors"][0]["pointer"] == "/starts_at"
    assert PriceBookVersion.objects.filter(starts_at=datetime(2040, 1, 1, tzinfo=UTC)).count() == 1


@pytest.mark.parametrize("slug", ["default", "Two Words", "-x", "ü"])
def test_a_book_has_a_name_of_its_own(operator: Api, slug: str) -> None:
    answer = operator.send("POST", "price-books", {"slug": slug, "name": "X", "currency": "EUR"})
    assert answer.status_code == 400
    assert PriceBook.objects.count() == 1
