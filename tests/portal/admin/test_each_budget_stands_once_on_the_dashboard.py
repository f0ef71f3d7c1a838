from __future__ import annotations

from decimal import Decimal

from metering.models import Budget, BudgetAlert
from tests.tenants.cast import Cast

from .conftest import Browse, text_of


def test_of_the_thresholds_that_a_budget_has_passed_the_highest_is_shown(cast: Cast, browse: Browse) -> None:
    for tenant, name, marks in ((cast.acme, "Main", (80, 90, 100)), (cast.globex, "Other", (80,))):
        budget = Budget.objects.create(tenant=tenant, name=name, amount=100)
        for percent in marks:
            BudgetAlert.objects.create(
                budget=budget, tenant=tenant, period_key="2026-07", percent=percent, cost=Decimal(percent), amount=100
            )
    body = text_of(browse("root").get("/admin/"))
    assert body.count("Main · ") == 1
    assert body.count("Other · ") == 1
    assert "$100.00 of $100" in body
    assert "$80.00 of $100" in body
    assert "$90.00 of $100" not in body
