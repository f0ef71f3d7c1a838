from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from metering.billing.issuing import credit, issue
from metering.costing import costs
from metering.finance import explorer, revenue
from metering.finance.explorer import GROUPS, GroupBy
from metering.ledger import ingestion, rollups
from metering.money import Money
from tenants import periods
from tenants.models import Tenant
from tests.metering.events import event

NOW = datetime(2026, 8, 15, 12, tzinfo=UTC)


@pytest.fixture
def used(acme: Tenant, globex: Tenant) -> list[Tenant]:
    """July and August of two tenants; acme's H100 costs $2.51 of July's $4.18 in project mammo."""
    for tenant, id, day, hours, dims in (
        (acme, "1", datetime(2026, 7, 20, 1, tzinfo=UTC), "1.003", {"model": "H100", "project": "mammo"}),
        (acme, "2", datetime(2026, 7, 31, 1, tzinfo=UTC), "0.667", {"model": "A100", "project": "ct"}),
        (acme, "3", datetime(2026, 8, 1, 1, tzinfo=UTC), "0.333", {"model": "H100", "project": "mammo"}),
        (acme, "4", datetime(2026, 8, 2, 1, tzinfo=UTC), "0.333", {}),
        (globex, "5", datetime(2026, 8, 2, 1, tzinfo=UTC), "7", {"model": "H100"}),
    ):
        (result,) = ingestion.book(tenant, [event(id, day, hours, "gpu_hours", **dims)], day + timedelta(hours=1))
        assert result.status == "accepted", result
    rollups.run(NOW)
    return [acme, globex]


@pytest.mark.parametrize("group_by", GROUPS)
@pytest.mark.parametrize("meter", ["", "gpu_hours"])
def test_groups_add_up_to_the_statements(used: list[Tenant], group_by: GroupBy, meter: str) -> None:
    found = explorer.explore(used, NOW, "2026-08", group_by, meter=meter)
    now, before = found.totals()["USD"]
    assert now == sum(each.total.amount for each in costs.statements(used, NOW, "2026-08")) == Decimal("19.17")
    assert before == sum(each.total.amount for each in costs.statements(used, NOW, "2026-07")) == Decimal("4.18")


def test_a_line_is_split_by_its_usage(used: list[Tenant]) -> None:
    found = explorer.explore(used[:1], NOW, "2026-07", "model", meter="gpu_hours")
    assert [(each.group, each.amount, each.quantity) for each in found.entries] == [
        ("H100", Decimal("2.51"), Decimal("1.003")),
        ("A100", Decimal("1.67"), Decimal("0.667")),
    ]


def test_a_day_is_beside_the_same_day_of_the_month_before(used: list[Tenant]) -> None:
    (first, second) = explorer.explore(used[:1], NOW, "2026-08", "day").entries[:2]
    assert (first.group, first.amount) == ("2026-08-01", Decimal("0.84"))
    assert (second.group, second.amount) == ("2026-08-02", Decimal("0.83"))
    last = explorer.explore(used[:1], NOW, "2026-08", "day").entries[-1]
    assert (last.group, last.amount, last.before) == ("2026-08-31", Decimal(0), Decimal("1.67"))


def test_without_a_project_has_a_name_too(used: list[Tenant]) -> None:
    found = explorer.explore(used, NOW, "2026-08", "project")
    assert {each.group: each.label for each in found.entries} == {
        "": "Without project",
        "mammo": "mammo",
        "ct": "ct",
    }


def test_revenue_is_invoiced_and_open_less_credits(used: list[Tenant]) -> None:
    acme = used[0]
    invoice = issue(acme, periods.period_by_key(acme, "2026-07"), NOW)
    credit(invoice, Money(Decimal("1.00"), "USD"), "goodwill", NOW)
    calls = [event(f"c{kind}", NOW - timedelta(hours=2), count, "api_calls", route_class=kind) for kind, count in (("ml", 4), ("web", 6))]  # fmt: skip
    assert {each.status for each in ingestion.book(acme, calls, NOW)} == {"accepted"}
    rollups.run(NOW)
    july, august = revenue.months(used, NOW)
    assert (july.key, july.invoiced, july.open, july.credited, july.total) == ("2026-07", Decimal("4.18"), 0, 1, Decimal("3.18"))  # fmt: skip
    assert (august.open, august.calls, august.inferences) == (Decimal("19.18"), 10, 4)
    assert (august.per_call, august.per_inference) == (Decimal("1.918000"), Decimal("4.795000"))
