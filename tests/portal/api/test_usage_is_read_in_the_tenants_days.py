from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine

from metering.ledger import ingestion, rollups
from tests.portal.api.calling import Api, Callers, problem

NOW = datetime(2026, 7, 15, 12, 30, tzinfo=UTC)  # acme is in Zurich: UTC+2


@pytest.fixture
def at_noon(cast: Any) -> Any:
    with time_machine.travel(NOW, tick=False):
        events = [
            _event("a", "2026-07-13T21:59:59Z", "1", "H100"),  # the last second of 13 July in Zurich
            _event("b", "2026-07-13T22:00:00Z", "2", "H100"),  # the first of 14 July
            _event("c", "2026-07-14T10:00:00Z", "0.5", "A100"),
            _event("d", "2026-07-15T10:00:00Z", "4", "H100"),
        ]
        assert {result.status for result in ingestion.book(cast.acme, events, NOW)} == {"accepted"}
        rollups.run(NOW)
        yield


def _event(event_id: str, time: str, quantity: str, model: str) -> dict[str, Any]:
    return {
        "id": event_id,
        "source": "/t",
        "type": "gpu_hours",
        "time": time,
        "data": {"quantity": quantity, "model": model},
    }


@pytest.fixture
def reader(callers: Callers) -> Api:
    return callers.key("read")


def points(api: Api, query: str) -> list[tuple[str, str | None, str]]:
    answer = api.get(f"tenants/acme/usage?meter=gpu_hours&{query}")
    assert answer.status_code == 200, answer.content
    return [(each["start"], each["group"], each["quantity"]) for each in answer.json()["results"]]


@pytest.mark.usefixtures("at_noon")
class TestSeries:
    def test_days_begin_at_the_tenants_midnight(self, reader: Api) -> None:
        assert points(reader, "from=2026-07-13&to=2026-07-15&granularity=day") == [
            ("2026-07-12T22:00:00Z", None, "1"),
            ("2026-07-13T22:00:00Z", None, "2.5"),
            ("2026-07-14T22:00:00Z", None, "4"),
        ]

    def test_the_last_date_is_included_and_an_instant_is_not(self, reader: Api) -> None:
        assert len(points(reader, "from=2026-07-14&to=2026-07-14")) == 1
        assert points(reader, "from=2026-07-13T22:00:00Z&to=2026-07-14T10:00:00Z") == [
            ("2026-07-13T22:00:00Z", None, "2")
        ]

    def test_split_by_a_dimension(self, reader: Api) -> None:
        assert points(reader, "from=2026-07-14&to=2026-07-14&group_by=model") == [
            ("2026-07-13T22:00:00Z", "A100", "0.5"),
            ("2026-07-13T22:00:00Z", "H100", "2"),
        ]

    def test_hours_and_months(self, reader: Api) -> None:
        assert points(reader, "from=2026-07-14&to=2026-07-14&granularity=hour")[0] == (
            "2026-07-13T22:00:00Z",
            None,
            "2",
        )
        assert points(reader, "from=2026-07-01&to=2026-07-31&granularity=month") == [
            ("2026-06-30T22:00:00Z", None, "7.5")
        ]

    def test_without_a_span_it_is_the_month_so_far(self, reader: Api) -> None:
        body = reader.get("tenants/acme/usage").json()
        assert (body["start"], body["end"], body["granularity"]) == (
            "2026-06-30T22:00:00Z",
            "2026-07-15T12:30:00Z",
            "day",
        )
        assert {each["meter"]: each["quantity"] for each in body["totals"]} | {"api_calls": ""} == {
            "api_calls": "", "gpu_hours": "7.5", "storage_gb": "0",
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("query", "pointer"),
        [
            ("meter=bitcoins", "?meter"), ("meter=", "?meter"), ("granularity=week", "?granularity"), ("group_by=a'b", "?group_by"),
            ("group_by=Model", "?group_by"), ("from=2026-07-15&to=2026-07-14", "?to"), ("from=0001-01-01", "?from"), ("to=9999-12-31", "?to"),
            ("from=2026-02-30", "?from"), ("from=2026-07-01T00:00:00", "?from"), ("from=1752580800000", "?from"), ("from=2026-07-01T25:00:00Z", "?from"),
            ("from=2020-01-01&to=2026-07-01&granularity=hour", "?from"), ("from=2020-01-01&to=2026-07-01", "?from"), ("from=２026-07-01", "?from"),
            ("meter=gpu_hours&meter=api_calls", "?meter"), ("tenant=globex", "?tenant"),
        ],
    )  # fmt: skip
    def test_bad_questions(self, reader: Api, query: str, pointer: str) -> None:
        found = problem(reader.get(f"tenants/acme/usage?{query}"), 400, "validation_error")
        assert [error["pointer"] for error in found["errors"]] == [pointer]

    def test_another_tenants_usage_is_not_in_it(self, callers: Callers) -> None:
        other = callers.key("read", tenant="globex").get(
            "tenants/globex/usage?meter=gpu_hours&from=2026-07-01&to=2026-07-31"
        )
        assert other.json()["results"] == []


def test_a_member_sees_their_own_usage(callers: Callers, cast: Any) -> None:
    with time_machine.travel(NOW, tick=False):
        for name, quantity in (("bob", "1"), ("ada", "2")):
            event = _event(name, "2026-07-15T10:00:00Z", quantity, "H100")
            event["data"]["user"] = name
            ingestion.book(cast.acme, [event], NOW)
        rollups.run(NOW)
        seen = {
            "bob": callers.person("bob"), "bob's key": callers.member_key("bob", ["usage:read"]), "alice": callers.person("alice"),
            "a service": callers.key("read"),
        }  # fmt: skip
        query = "from=2026-07-15&to=2026-07-15"
        assert {name: points(api, query)[0][2] for name, api in seen.items()} == {
            "bob": "1",
            "bob's key": "1",
            "alice": "3",
            "a service": "3",
        }
