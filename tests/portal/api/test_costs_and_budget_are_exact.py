from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import time_machine

from metering.ledger import ingestion, rollups
from metering.models import Budget
from tenants.models import AuditEntry
from tests.portal.api.calling import Callers, problem

NOW = datetime(2026, 7, 15, 12, 30, tzinfo=UTC)


@pytest.fixture
def at_noon(request: pytest.FixtureRequest) -> Any:
    with time_machine.travel(NOW, tick=False):
        cast = request.getfixturevalue("cast")  # made now
        event = {
            "id": "1",
            "source": "/t",
            "type": "gpu_hours",
            "time": "2026-07-15T10:00:00Z",
            "data": {"quantity": "1.234", "model": "H100"},
        }
        ingestion.book(cast.acme, [event], NOW)
        rollups.run(NOW)
        yield


@pytest.mark.usefixtures("at_noon")
class TestCosts:
    def test_the_total_is_the_sum_of_rounded_lines(self, callers: Callers) -> None:
        body = callers.key("read").get("tenants/acme/costs?month=2026-07").json()
        assert (body["month"], body["currency"], body["total"]) == (
            "2026-07",
            "USD",
            "3.09",
        )  # 1.234 × 2.50 = 3.085, half up
        assert body["period"] == {"key": "2026-07", "start": "2026-06-30T22:00:00Z", "end": "2026-07-31T22:00:00Z"}
        assert sum(Decimal(line["amount"]) for line in body["lines"]) == Decimal(body["total"])
        line = next(line for line in body["lines"] if line["meter"] == "gpu_hours")
        assert (line["quantity"], line["unit"], line["unit_price"], line["amount"]) == (
            "1.234",
            "GPU hour",
            "2.5",
            "3.09",
        )
        assert all(isinstance(line[name], str) for line in body["lines"] for name in ("quantity", "amount"))
        assert line["explanation"]

    def test_the_running_month_is_the_default(self, callers: Callers) -> None:
        key = callers.key("read")
        assert key.get("tenants/acme/costs").content == key.get("tenants/acme/costs?month=2026-07").content

    def test_a_month_before_has_no_projection(self, callers: Callers) -> None:
        body = callers.key("read").get("tenants/acme/costs?month=2026-06").json()
        assert (body["total"], body["lines"], body["projection"]) == ("0.00", [], None)

    @pytest.mark.parametrize(
        "month", ["2026-13", "2026-00", "2026-7", "202607", "2026-08", "1999-12", "2026-07-01", "now", "", "２026-07"]
    )
    def test_months_that_are_none(self, callers: Callers, month: str) -> None:
        found = problem(callers.key("read").get(f"tenants/acme/costs?month={month}"), 400, "validation_error")
        assert found["errors"][0]["pointer"] == "?month"

    def test_who_sees_costs(self, callers: Callers) -> None:
        for name in ("alice", "ada", "carol"):
            assert callers.person(name).get("tenants/acme/costs").status_code == 200
        for name in ("bob", "victor"):
            problem(callers.person(name).get("tenants/acme/costs"), 403, "permission_denied")
        problem(callers.key(["usage:read"]).get("tenants/acme/costs"), 403, "insufficient_scope")


@pytest.mark.usefixtures("at_noon")
class TestBudget:
    def test_none_is_set_at_first(self, callers: Callers) -> None:
        body = callers.key("read").get("tenants/acme/budget").json()
        assert body == {
            "amount": None, "currency": "USD", "period": None, "spent": None, "remaining": None, "percent": None, "measured": None,
            "measured_percent": None, "projected": None,
            "thresholds": [], "recipients": [], "alerts": [],
        }  # fmt: skip

    def test_set_and_read(self, callers: Callers) -> None:
        carol = callers.person("carol")
        answer = carol.put(
            "tenants/acme/budget", {"amount": "10", "recipients": ["finance@acme.example"], "reason": "New year"}
        )
        assert answer.status_code == 200, answer.content
        body = carol.get("tenants/acme/budget").json()
        assert body == answer.json()
        assert (body["amount"], body["spent"], body["remaining"], body["percent"]) == ("10.00", "3.09", "6.91", "30.9")
        assert (body["thresholds"], body["recipients"]) == ([80, 90, 100], ["finance@acme.example"])
        entry = AuditEntry.objects.filter(table_name="metering_budget").latest("id")
        assert (entry.actor, entry.reason) == ("user:carol", "New year")

    def test_setting_again_keeps_the_recipients(self, callers: Callers) -> None:
        key = callers.key("admin")
        key.put("tenants/acme/budget", {"amount": "10", "recipients": ["finance@acme.example"]})
        body = key.put("tenants/acme/budget", {"amount": 20.5, "thresholds": [50]}).json()
        assert (body["amount"], body["thresholds"], body["recipients"]) == ("20.50", [50], ["finance@acme.example"])
        assert Budget.objects.filter(tenant=callers.cast.acme).count() == 1

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({}, "/amount"), ({"amount": 0}, "/amount"), ({"amount": -5}, "/amount"), ({"amount": "1_000"}, "/amount"), ({"amount": None}, "/amount"),
            ({"amount": "0.001"}, "/amount"), ({"amount": 10**20}, "/amount"), ({"amount": "5", "currency": "EUR"}, "/currency"),
            ({"amount": "5", "thresholds": []}, "/thresholds"), ({"amount": "5", "thresholds": [0]}, "/thresholds/0"),
            ({"amount": "5", "thresholds": [80, 80]}, "/thresholds"), ({"amount": "5", "thresholds": ["80"]}, "/thresholds/0"),
            ({"amount": "5", "thresholds": [True]}, "/thresholds/0"), ({"amount": "5", "recipients": ["a@b.example, c@d.example"]}, "/recipients/0"),
            ({"amount": "5", "recipients": ["a@b.example\nBcc: x@y.example"]}, "/recipients/0"), ({"amount": "5", "recipients": "a@b.example"}, "/recipients"),
        ],
    )  # fmt: skip
    def test_bad_budgets(self, callers: Callers, body: dict[str, object], pointer: str) -> None:
        found = problem(callers.key("admin").put("tenants/acme/budget", body), 400, "validation_error")
        assert pointer in {error["pointer"] for error in found["errors"]}
        assert not Budget.objects.filter(tenant=callers.cast.acme).exists()
