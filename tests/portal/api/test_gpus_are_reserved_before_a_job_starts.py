from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import time_machine
from django.utils import timezone

from metering.budgets import set_budget
from metering.ledger import ingestion, rollups
from metering.models import Budget, BudgetThreshold, Reservation, ReservationChange, UsageEvent
from metering.reservations import ending
from portal.embedded import RedisServer
from tenants.limiting import overrides
from tenants.models import LimitKind, TenantBlock
from tests.portal.api.calling import Api, Callers, problem
from tests.tenants.cast import Cast

JOB = {"gpus": 2, "gpu_model": "H100", "expected_hours": "12", "labels": {"project": "mammo"}}


@pytest.fixture
def key(callers: Callers) -> Api:
    return callers.key("service")


def reserve(key: Api, **values: Any) -> dict[str, Any]:
    response = key.post("reservations", JOB | values)
    assert response.status_code == 201, response.content
    return dict(response.json())


def test_a_reservation_says_its_estimate_and_what_is_left(key: Api) -> None:
    body = reserve(key)
    assert (body["state"], body["asked"]["gpu_hours"], body["asked"]["amount"]) == ("held", 24, "60.00")
    assert (body["asked"]["price_version"], body["left"]) == (
        "default v1",
        {"gpu_hours": 76, "gpus": 62, "over_quota": False},
    )
    assert key.get(f"reservations/{body['id']}").json()["id"] == body["id"]
    assert [each["id"] for each in key.get("reservations?state=held").json()["results"]] == [body["id"]]


def test_what_does_not_fit_into_the_month_is_refused_with_all_numbers(key: Api, cast: Cast) -> None:
    ingestion.book(
        cast.acme,
        [
            {
                "specversion": "1.0", "source": "/x", "id": "1", "type": "gpu_hours", "time": timezone.now().isoformat(),
                "data": {"quantity": 50, "model": "H100"},
            }
        ],
        timezone.now(),
    )  # fmt: skip
    reserve(key)
    body = problem(key.post("reservations", JOB | {"gpus": 3}), 429, "quota_exceeded")
    numbers = {name: body[name] for name in ("quota", "used", "reserved", "asked", "left")}
    assert numbers == {"quota": 100, "used": 50, "reserved": 24, "asked": 36, "left": 26}
    assert body["request_increase_url"].endswith("/t/acme/quotas")
    assert body["resets_at"]
    reserve(key, expected_hours="13")


def test_a_soft_quota_lets_it_through_and_says_so(key: Api, cast: Cast) -> None:
    overrides.set_limit(cast.acme, LimitKind.QUOTA, "gpu_hours", 10, mode="soft", reason="Trial", actor="test")
    assert reserve(key)["left"] == {"gpu_hours": None, "gpus": 62, "over_quota": True}


def test_gpus_at_once_and_hours_of_one_are_capped_by_tier_or_override(key: Api, cast: Cast) -> None:
    body = problem(
        key.post("reservations", JOB | {"gpus": 65, "expected_hours": "0.1"}), 429, "reservation_cap_exceeded"
    )
    assert (body["cap"], body["limit"], body["asked"]) == ("reserved_gpus", 64, 65)
    overrides.set_limit(cast.acme, LimitKind.QUOTA, "reserved_gpus", 1, reason="Small", actor="test")
    overrides.set_limit(cast.acme, LimitKind.QUOTA, "reservation_hours", 4, reason="Short", actor="test")
    assert problem(key.post("reservations", JOB), 429, "reservation_cap_exceeded")["cap"] == "reservation_hours"
    reserve(key, gpus=1, fraction="0.5", expected_hours="4")
    assert (
        problem(key.post("reservations", JOB | {"expected_hours": 1, "gpus": 1}), 429, "reservation_cap_exceeded")[
            "reserved"
        ]
        == 0.5
    )
    reserve(key, gpus=1, fraction="0.5", expected_hours="4")


def test_a_budget_that_acts_refuses_what_would_cross_it(key: Api, cast: Cast) -> None:
    budget = set_budget(cast.acme, Decimal("200"), [50, 100], "test")
    BudgetThreshold.objects.filter(budget=budget, percent=50).update(action="block_gpu")
    reserve(key)  # 60 of 100
    body = problem(key.post("reservations", JOB), 402, "budget_exhausted")
    assert (body["amount"], body["spent"], body["reserved"], body["asked"]) == ("100.00", "0.00", "60", "60")
    BudgetThreshold.objects.filter(budget=budget).update(action="notify")
    reserve(key)


def test_a_projects_budget_refuses_its_own_jobs_only(key: Api, cast: Cast) -> None:
    budget = Budget.objects.create(
        tenant=cast.acme, name="Mammo", amount=Decimal(50), is_primary=False, scope="project", scope_value="mammo"
    )
    BudgetThreshold.objects.create(budget=budget, tenant=cast.acme, percent=100, action="block")
    problem(key.post("reservations", JOB), 402, "budget_exhausted")
    reserve(key, labels={"project": "chest"})


def test_a_block_on_gpus_refuses_reservations(key: Api, cast: Cast) -> None:
    TenantBlock.objects.create(
        tenant=cast.acme, action="block_gpu", code="budget_exhausted", origin="budget:1", detail="The budget is spent."
    )
    assert problem(key.post("reservations", JOB), 402, "budget_exhausted")["detail"] == "The budget is spent."


def test_settling_books_what_was_held_in_its_hours(callers: Callers) -> None:
    start = datetime(2026, 7, 15, 12, 40, tzinfo=UTC)
    with time_machine.travel(start, tick=False) as clock:
        key = callers.key("service")
        body = reserve(key)
        clock.shift(timedelta(minutes=30))
        assert key.post(f"reservations/{body['id']}/heartbeat").json()["seconds"] == 1800
        clock.shift(timedelta(minutes=60))
        settled = key.post(f"reservations/{body['id']}/settle", {"seconds": "5000"}).json()
        assert (settled["state"], settled["seconds"], settled["gpu_hours"]) == ("settled", 5000, 2.777778)
        assert key.post(f"reservations/{body['id']}/settle", {"seconds": "1"}).json() == settled
        rollups.run(timezone.now())
    events = UsageEvent.objects.filter(source="/portal/reservations").order_by("time")
    assert [(each.time.hour, each.time.minute, int(each.quantity_micro)) for each in events] == [
        (12, 40, 2_400_000_000),
        (13, 0, 7_200_000_000),
        (14, 0, 400_000_000),
    ]
    assert events[0].dims == {"model": "H100", "project": "mammo"}
    kinds = ReservationChange.objects.filter(reservation__public_id=body["id"]).values_list("kind", flat=True)
    assert list(kinds) == ["reserved", "settled"]


@pytest.mark.parametrize(("said", "billed"), [("10", 1800), ("999999", 3600), (None, 3600)])
def test_a_settlement_stays_between_what_is_confirmed_and_now(callers: Callers, said: str | None, billed: int) -> None:
    with time_machine.travel(datetime(2026, 7, 15, 12, tzinfo=UTC), tick=False) as clock:
        key = callers.key("service")
        body = reserve(key)
        clock.shift(timedelta(minutes=30))
        key.post(f"reservations/{body['id']}/heartbeat")
        clock.shift(timedelta(minutes=30))
        answer = key.post(f"reservations/{body['id']}/settle", {} if said is None else {"seconds": said}).json()
    assert answer["seconds"] == billed


def test_cancelling_gives_all_of_it_back(key: Api) -> None:
    body = reserve(key, gpus=4, expected_hours="25")
    problem(key.post("reservations", JOB), 429, "quota_exceeded")
    for answer in (key.delete(f"reservations/{body['id']}"), key.post(f"reservations/{body['id']}/cancel")):
        assert (answer.json()["state"], answer.json()["seconds"]) == ("cancelled", 0)
    problem(key.post(f"reservations/{body['id']}/settle", {}), 409, "conflict")
    problem(key.post(f"reservations/{body['id']}/heartbeat"), 409, "conflict")
    reserve(key, gpus=4, expected_hours="25")
    assert not UsageEvent.objects.exists()


def test_extending_asks_for_the_rest_and_is_repeatable(key: Api) -> None:
    body = reserve(key)
    url = f"reservations/{body['id']}/extend"
    for _ in range(2):
        answer = key.post(url, {"expected_hours": 50})
        assert (answer.status_code, answer.json()["expected_hours"], answer.json()["left"]["gpu_hours"]) == (200, 50, 0)
    assert answer.json()["estimate"] == "250.00"
    problem(key.post(url, {"expected_hours": "50.01"}), 429, "quota_exceeded")
    problem(key.post(url, {"expected_hours": "49"}), 400, "validation_error")


def test_an_idempotency_key_reserves_once(key: Api) -> None:
    first, again = (key.post("reservations", JOB, Idempotency_Key="job-7") for _ in range(2))
    assert first.json()["id"] == again.json()["id"]
    assert again["Idempotent-Replayed"] == "true"
    assert Reservation.objects.count() == 1


def test_a_strangers_reservation_is_not_there(callers: Callers, key: Api) -> None:
    body = reserve(key)
    mallory = callers.key("service", tenant="globex")
    for method, path in [("GET", ""), ("DELETE", ""), ("POST", "/heartbeat"), ("POST", "/settle"), ("POST", "/cancel")]:
        problem(
            mallory.send(method, f"reservations/{body['id']}{path}", {} if method == "POST" else None), 404, "not_found"
        )
    problem(mallory.post(f"reservations/{body['id']}/extend", {"expected_hours": 20}), 404, "not_found")
    problem(key.get("reservations/nonsense"), 404, "not_found")


@pytest.mark.parametrize(
    "wrong",
    [
        {"gpus": 0}, {"gpus": True}, {"gpus": "2"}, {"gpus": 10**30}, {"gpu_model": ""}, {"gpu_model": "H100\n"}, {"fraction": "1.5"},
        {"fraction": 0}, {"expected_hours": "0"}, {"expected_hours": "1e400"}, {"expected_hours": -1}, {"expected_hours": "1_000"},
        {"labels": {"model": "x"}}, {"labels": {"Bad": "x"}}, {"labels": {str(n): "x" for n in range(9)}}, {"labels": {"a": "\x00"}},
        {"labels": []}, {"ttl_seconds": 1}, {"tenant": "globex"},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(key: Api, wrong: dict[str, Any]) -> None:
    response = key.post("reservations", JOB | wrong)
    assert response.status_code == 400, response.content
    assert not Reservation.objects.exists()


def test_without_redis_nothing_is_reserved_but_what_runs_is_settled(
    key: Api, cast: Cast, redis_server: RedisServer
) -> None:
    id = reserve(key)["id"]
    redis_server.kill()
    problem(key.post("reservations", JOB), 503, "enforcement_unavailable")
    ended = ending.settle(cast.acme, UUID(id), 0, actor="test", now=timezone.now())
    assert (ended.state, Reservation.objects.count()) == ("settled", 1)
