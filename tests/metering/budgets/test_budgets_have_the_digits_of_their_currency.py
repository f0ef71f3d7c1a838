from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from metering import budgets
from metering.budgets import Plan, Step
from metering.models import Budget, BudgetAlert, Notification
from portal.web.notices import alerts as words
from tenants.models import Tenant
from tenants.problems import Invalid
from tests.metering.budgets.conftest import NOW, Spend
from tests.tenants.cast import Cast

pytestmark = pytest.mark.django_db
BilledIn = Callable[[Tenant, str], None]


def make(cast: Cast, amount: str) -> Budget:
    return budgets.create(cast.acme, Plan("All", (Step(80),), amount=Decimal(amount)), actor="user:alice")


def test_a_kuwaiti_budget_is_kept_to_the_fils(cast: Cast, spend: Spend, billed_in: BilledIn) -> None:
    billed_in(cast.acme, "KWD")
    budget = make(cast, "25.125")
    budget.refresh_from_db()
    assert (budget.amount, str(budget)) == (Decimal("25.125"), "All: 25.125 KWD")

    spend("20.099")
    assert budgets.check_all(NOW) == 0, "80 % are 20.100"
    spend("0.001")
    assert budgets.check_all(NOW + timedelta(hours=1)) == 1
    alert = BudgetAlert.objects.select_related("budget").get(tenant=cast.acme)
    assert (alert.cost, alert.amount) == (Decimal("20.100"), Decimal("25.125"))
    assert "20.100 of KWD" in Notification.objects.first().text.replace("\xa0", "")  # type: ignore[union-attr]
    (said,) = words.budget_alerts([alert])
    assert "20.100" in said.text


def test_a_japanese_budget_has_no_digits_after_the_point(cast: Cast, spend: Spend, billed_in: BilledIn) -> None:
    billed_in(cast.acme, "JPY")
    budget = make(cast, "100")
    budget.refresh_from_db()
    assert str(budget) == "All: 100 JPY"
    spend("85")
    budgets.check_all(NOW)
    text = Notification.objects.first().text  # type: ignore[union-attr]
    assert "¥85 of ¥100" in text
    assert ".00" not in text


@pytest.mark.parametrize(("currency", "amount"), [("KWD", "1.0001"), ("JPY", "1.5"), ("USD", "1.005")])
def test_finer_than_the_currency_is_refused(cast: Cast, billed_in: BilledIn, currency: str, amount: str) -> None:
    billed_in(cast.acme, currency)
    with pytest.raises(Invalid) as problem:
        make(cast, amount)
    assert problem.value.errors[0].pointer == "/amount"


@pytest.mark.parametrize(("currency", "least"), [("KWD", "0.001"), ("USD", "0.01"), ("JPY", "1")])
def test_a_share_of_nothing_is_one_minor_unit(cast: Cast, billed_in: BilledIn, currency: str, least: str) -> None:
    billed_in(cast.acme, currency)
    plan = Plan("Share", (Step(80),), percent_of_last=120, floor=Decimal(least))
    assert budgets.create(cast.acme, plan, actor="user:alice").amount == Decimal(least)
