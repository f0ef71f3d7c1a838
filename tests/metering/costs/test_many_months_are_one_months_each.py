"""Statements of several months at once, in one reading of usage, are those of each month by itself."""

from __future__ import annotations

from typing import Any

from metering import memo
from metering.costing import costs
from tenants.models import Tenant

from .test_the_explorer_adds_up import NOW, used  # noqa: F401 - a fixture

MONTHS = ["2026-07", "2026-08", "2026-05", None]


def test_they_are_equal(used: list[Tenant]) -> None:  # noqa: F811
    wanted = [(tenant, month) for month in MONTHS for tenant in used]
    found = costs.statements_of_months(wanted, NOW, dimensions=["model"])
    apart = [statement for month in MONTHS for statement in costs.statements(used, NOW, month, dimensions=["model"])]
    assert [(each.tenant, each.period, each.rating, each.as_of) for each in found] == [
        (each.tenant, each.period, each.rating, each.as_of) for each in apart
    ]
    assert len({each.total for each in found}) > 2


def test_more_months_are_no_more_statements(used: list[Tenant], django_assert_max_num_queries: Any) -> None:  # noqa: F811
    wanted = [(tenant, month) for month in MONTHS for tenant in used]
    costs.statements_of_months(wanted, NOW)  # stores the months
    with memo.remembering(), django_assert_max_num_queries(6):
        costs.statements_of_months(wanted, NOW)
