from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from tenants.limiting import quota_requests
from tenants.models import Override, QuotaRequest
from tenants.problems import Conflict, Invalid, ProblemError
from tests.tenants.cast import make_cast

from .conftest import WISH, Ask


def deny(row: QuotaRequest, reason: str = "No nodes are free") -> QuotaRequest:
    return quota_requests.deny(
        row.tenant, row.public_id, reason=reason, actor="user:olivia", decided_by=None, now=timezone.now()
    )


def withdraw(row: QuotaRequest) -> QuotaRequest:
    return quota_requests.withdraw(row.tenant, row.public_id, by=None, actor="user:alice", now=timezone.now())


def test_the_same_again_changes_nothing(ask: Ask, decide: Any) -> None:
    row = ask()
    first, again = decide(row), decide(row)
    assert (first.override_id, first.decided_at) == (again.override_id, again.decided_at)
    assert Override.objects.count() == 1
    other = ask(name="storage_gb", asked=Decimal(5000))
    assert deny(other).decided_at == deny(other).decided_at
    third = ask(name="api_calls", asked=Decimal(5_000_000))
    assert withdraw(third).decided_at == withdraw(third).decided_at


def test_another_decision_is_refused(ask: Ask, decide: Any) -> None:
    row = ask()
    decide(row, granted=Decimal(120), reason="For now")
    acts: list[Callable[[QuotaRequest], Any]] = [decide, deny, withdraw]
    for act in acts:
        with pytest.raises(Conflict) as refused:
            act(row)
        assert refused.value.extra["state"] == "approved"
    assert Override.objects.count() == 1


def test_what_was_withdrawn_is_not_granted(ask: Ask, decide: Any) -> None:
    row = ask()
    withdraw(row)
    with pytest.raises(Conflict):
        decide(row)
    assert not Override.objects.exists()


def test_a_denial_says_why(ask: Ask) -> None:
    row = ask()
    with pytest.raises(Invalid):
        deny(row, "  ")
    assert deny(row).decision_reason == "No nodes are free"


def test_what_became_unlimited_cannot_be_granted(ask: Ask, decide: Any, cast: Any) -> None:
    from tenants.limiting import overrides

    row = ask()
    overrides.set_limit(cast.acme, "quota", "gpu_hours", None, reason="x", actor="test")
    with pytest.raises(Conflict):
        decide(row)


@pytest.mark.django_db(transaction=True)
def test_of_two_operators_at_once_one_decides() -> None:
    cast = make_cast()
    row = quota_requests.request(cast.acme, WISH, by=None, actor="test", user=cast.people["alice"], now=timezone.now())

    def one(granted: Decimal) -> str:
        try:
            quota_requests.approve(
                cast.acme, row.public_id, granted=granted, valid_until=None, reason="x", actor="test", decided_by=None,
                now=timezone.now(),
            )  # fmt: skip
            return "granted"
        except ProblemError as problem:
            return problem.code
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(one, [Decimal(120), Decimal(130)]))
    assert outcomes == ["conflict", "granted"]
    assert Override.objects.count() == 1
