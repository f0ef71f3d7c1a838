from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from metering.costing import price_dry_runs
from metering.models import Price, PriceBookVersion
from tests.metering.price_dry_runs.drafts import draft_of_prices, published_for_later

from .calling import Api, Callers, problem

BOOK = "price-books/default/versions"
PRICE = {"meter": "gpu_hours", "model": "per_unit", "unit_price": "2.75"}


@pytest.fixture
def operator(callers: Callers) -> Api:
    return callers.token("olivia")


def test_a_changed_draft_needs_another_dry_run(operator: Api) -> None:
    version = draft_of_prices()
    answer = operator.patch(f"{BOOK}/2", {"prices": [PRICE], "starts_at": "2041-01-01T00:00:00Z", "note": "cheaper"})
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert [(price["meter"], price["unit_price"]) for price in body["prices"]] == [("gpu_hours", "2.75")]
    assert (body["starts_at"], body["note"]) == ("2041-01-01T00:00:00Z", "cheaper")
    assert price_dry_runs.standing(version, timezone.now()) is None
    problem(operator.post(f"{BOOK}/2/publish", {"reason": "at once"}), 409, "conflict")


@pytest.mark.parametrize(
    "body",
    [
        {}, {"starts_at": "soon"}, {"prices": [PRICE | {"unit_price": "-1"}]}, {"prices": [PRICE, PRICE]}, {"prices": [PRICE | {"meter": "coffee"}]},
        {"prices": [{"meter": "support", "model": "flat", "unit_price": "9", "params": {"allowance": "1"}}]}, {"strange": 1},
        {"starts_at": "2024-01-01T00:00:00Z"},
    ],
)  # fmt: skip
def test_what_makes_no_sense_changes_nothing(operator: Api, body: dict[str, Any]) -> None:
    version = draft_of_prices()
    other = PriceBookVersion.objects.get(number=1)
    if "starts_at" in body and len(body["starts_at"]) > 4:
        body = {"starts_at": other.starts_at.isoformat()}  # two versions that start together
    before = list(Price.objects.order_by("pk").values())
    problem(operator.patch(f"{BOOK}/2", body), 400, "validation_error")
    assert list(Price.objects.order_by("pk").values()) == before
    assert PriceBookVersion.objects.get(pk=version.pk).starts_at == version.starts_at


def test_a_draft_is_thrown_away(operator: Api) -> None:
    version = draft_of_prices()
    assert operator.delete(f"{BOOK}/2").status_code == 204
    assert not PriceBookVersion.objects.filter(pk=version.pk).exists()
    assert operator.get(f"{BOOK}/2").status_code == 404


def test_what_is_published_is_withdrawn_before_it_is_changed(operator: Api) -> None:
    draft_of_prices()
    published_for_later()
    problem(operator.patch(f"{BOOK}/3", {"note": "x"}), 409, "conflict")
    problem(operator.delete(f"{BOOK}/3"), 409, "conflict")
    problem(operator.post(f"{BOOK}/3/withdraw", {"reason": " "}), 400, "validation_error")
    assert operator.post(f"{BOOK}/3/withdraw", {"reason": "postponed"}).json()["state"] == "draft"
    problem(operator.post(f"{BOOK}/3/withdraw", {"reason": "postponed"}), 409, "conflict")
    assert operator.delete(f"{BOOK}/3").status_code == 204


def test_what_has_started_never_changes(operator: Api) -> None:
    for answer in (
        operator.patch(f"{BOOK}/1", {"note": "x"}),
        operator.delete(f"{BOOK}/1"),
        operator.post(f"{BOOK}/1/withdraw", {"reason": "x"}),
    ):
        problem(answer, 409, "conflict")
