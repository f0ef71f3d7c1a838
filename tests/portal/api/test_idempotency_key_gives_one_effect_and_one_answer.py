from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from tenants import idempotency
from tenants.models import ApiKey, IdempotencyRecord, Override, Tenant
from tests.portal.api.calling import Api, Callers, problem

NEW = {"slug": "newco", "name": "Newco"}


def test_a_retry_gets_the_same_answer_and_has_no_effect(operator: Api) -> None:
    first = operator.post("tenants", NEW, Idempotency_Key="abc")
    again = operator.post("tenants", NEW, Idempotency_Key="abc")
    assert (first.status_code, first.content, first["Location"]) == (
        again.status_code,
        again.content,
        again["Location"],
    )
    assert again["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first
    assert Tenant.objects.filter(slug="newco").count() == 1


def test_members_in_another_order_are_the_same_request(operator: Api) -> None:
    operator.post("tenants", NEW, Idempotency_Key="abc")
    assert operator.post("tenants", dict(reversed(NEW.items())), Idempotency_Key="abc").status_code == 201


@pytest.mark.parametrize("other", [{"slug": "newco", "name": "Other"}, {"slug": "newer", "name": "Newco"}])
def test_another_request_under_the_same_key_is_a_conflict(operator: Api, other: dict[str, str]) -> None:
    operator.post("tenants", NEW, Idempotency_Key="abc")
    problem(operator.post("tenants", other, Idempotency_Key="abc"), 409, "idempotency_conflict")
    problem(
        operator.put("tenants/acme/rate-limits/minute", {"limit": 1, "reason": "x"}, Idempotency_Key="abc"),
        409,
        "idempotency_conflict",
    )
    assert not Override.objects.exists()


def test_a_refused_request_leaves_its_key_free(operator: Api) -> None:
    problem(operator.post("tenants", {"slug": "!", "name": "Newco"}, Idempotency_Key="abc"), 400, "validation_error")
    assert operator.post("tenants", NEW, Idempotency_Key="abc").status_code == 201


def test_keys_belong_to_their_caller(callers: Callers) -> None:
    body = {"name": "Gateway", "preset": "service"}
    for caller in (callers.key(), callers.key(), callers.person("alice"), callers.person("ada")):
        answer = caller.post("tenants/acme/api-keys", body, Idempotency_Key="same")
        assert "Idempotent-Replayed" not in answer
    assert ApiKey.objects.filter(name="Gateway").count() == 4


def test_a_deletion_is_replayed_too(callers: Callers, operator: Api) -> None:
    operator.put("tenants/acme/rate-limits/minute", {"limit": 1, "reason": "x"})
    operator.delete("tenants/acme/rate-limits/minute", Idempotency_Key="gone")
    operator.put("tenants/acme/rate-limits/minute", {"limit": 2, "reason": "y"})
    again = operator.delete("tenants/acme/rate-limits/minute", Idempotency_Key="gone")
    assert (again.status_code, again.content, again["Idempotent-Replayed"]) == (204, b"", "true")
    assert Override.objects.get(revoked_at__isnull=True).limit == 2


def test_a_secret_is_not_kept(callers: Callers) -> None:
    alice = callers.person("alice")
    first = alice.post("tenants/acme/api-keys", {"name": "G", "preset": "service"}, Idempotency_Key="abc").json()
    again = alice.post("tenants/acme/api-keys", {"name": "G", "preset": "service"}, Idempotency_Key="abc").json()
    assert first["key"].startswith("gpk_test_acme_")
    assert again == {**first, "key": None}
    assert first["key"].split("_", 4)[4] not in str(list(IdempotencyRecord.objects.values()))
    assert first["key"].split("_", 4)[4].encode() not in bytes(IdempotencyRecord.objects.get().body)


def test_an_answer_is_forgotten_after_a_day(operator: Api) -> None:
    operator.post("tenants", NEW, Idempotency_Key="abc")
    IdempotencyRecord.objects.update(created_at=timezone.now() - timedelta(hours=25))
    problem(operator.post("tenants", NEW, Idempotency_Key="abc"), 409, "conflict")
    assert idempotency.forget_old(timezone.now()) == 1
    assert not IdempotencyRecord.objects.exists()


@pytest.mark.parametrize("key", ["", " ", "a b", "ä", "x" * 256, "a\tb"])
def test_bad_keys_are_refused(operator: Api, key: str) -> None:
    problem(operator.post("tenants", NEW, Idempotency_Key=key), 400, "validation_error")
    assert not Tenant.objects.filter(slug="newco").exists()


@pytest.mark.django_db(transaction=True)
def test_at_the_same_time_only_one_works() -> None:
    inside, leave = threading.Event(), threading.Event()
    outcomes: list[Any] = []

    def slow() -> None:
        with idempotency.once("key:a", "abc", "print", None, timezone.now()) as attempt:
            inside.set()
            leave.wait(10)
            attempt.keep(200, b"{}", {})
        outcomes.append("done")
        connection.close()

    thread = threading.Thread(target=slow)
    thread.start()
    inside.wait(10)
    with (
        pytest.raises(idempotency.ProblemError) as refusal,
        idempotency.once("key:a", "abc", "print", None, timezone.now()),
    ):
        pass
    leave.set()
    thread.join()
    assert (refusal.value.code, refusal.value.retry_after) == ("idempotency_in_progress", 1)
    assert outcomes == ["done"]
    with idempotency.once("key:a", "abc", "print", None, timezone.now()) as attempt:
        assert attempt.answer is not None
