from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from metering import budgets
from metering.ledger import ingestion, rollups
from metering.models import BudgetAlert
from tests.metering.budgets.conftest import NOW, alerts, subjects

pytestmark = pytest.mark.django_db


@pytest.fixture
def check():
    clock = iter(range(1000))

    def run() -> int:
        return budgets.check_all(NOW + next(clock) * timedelta(minutes=1))

    return run


def raise_to(cast, amount: str) -> None:
    budgets.set_budget(cast.acme, Decimal(amount), [80, 90, 100], "user:alice")


def test_that_it_is_back_under_is_told_once(spend, budget, cast, check):
    spend("95.00")
    check()
    raise_to(cast, "1000")
    check()

    assert alerts() == []
    assert BudgetAlert.objects.exclude(cleared_at=None).count() == 2
    assert subjects()[1:] == ["Acme Radiology: Monthly budget is back under 80% and 90%"]
    check()
    assert len(subjects()) == 2


def test_crossing_it_again_is_told_again(spend, budget, cast, check):
    spend("95.00")
    check()
    raise_to(cast, "1000")
    check()
    spend("750.00")
    check()

    assert alerts() == [80]
    assert subjects()[-1] == "Acme Radiology: 84% of the monthly budget is spent"
    assert len(subjects()) == 3


def test_what_is_still_exceeded_is_not_told_again(spend, budget, cast, check):
    spend("95.00")
    check()
    raise_to(cast, "105")
    check()
    check()

    assert alerts() == [80, 90]
    assert len(subjects()) == 1


def test_a_cost_that_sinks_by_itself_re_arms_nothing(spend, budget, cast, check):
    """A correction brings the cost below the mark, later use brings it back: one mail, not one for each wave."""
    spend("80.00")
    check()
    correction = {
        "specversion": "1.0", "source": "/tests", "id": "fix", "type": "api_calls", "time": NOW,
        "data": {"quantity": -5000, "corrects": {"source": "/tests", "id": "e0"}},
    }  # fmt: skip
    (result,) = ingestion.book(cast.acme, [correction], NOW)
    assert result.status == "accepted"
    rollups.run(NOW)
    assert budgets.status(cast.acme, NOW)[0].spent.amount == Decimal(75)
    check()
    spend("6.00")
    check()

    assert alerts() == [80]
    assert len(subjects()) == 1
