from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from tenants import provisioning
from tenants.limiting import quota_requests
from tenants.models import QuotaRequest
from tenants.problems import Denied, ProblemError

from .conftest import WISH, Ask


@pytest.mark.parametrize("name", ["alice", "ada", "bob"])
def test_owners_admins_and_members_ask(ask: Ask, cast: Any, name: str) -> None:
    row = ask(name)
    assert (row.state, row.requested_by, row.limit_then) == ("pending", cast.people[name], 100)


@pytest.mark.parametrize("name", ["carol", "victor"])
def test_billing_and_viewers_do_not(ask: Ask, name: str) -> None:
    with pytest.raises(Denied):
        ask(name)
    assert not QuotaRequest.objects.exists()


def test_members_withdraw_their_own_managers_all(ask: Ask, cast: Any) -> None:
    row, now = ask("alice"), timezone.now()
    with pytest.raises(Denied):
        quota_requests.withdraw(cast.acme, row.public_id, by=cast.membership("bob"), actor="user:bob", now=now)
    own = ask("bob", name="storage_gb", asked=WISH.asked * 10)
    for request, name in ((row, "ada"), (own, "bob")):
        gone = quota_requests.withdraw(
            cast.acme, request.public_id, by=cast.membership(name), actor=f"user:{name}", now=now
        )
        assert gone.state == "withdrawn"


def test_a_suspended_tenant_does_not_ask(ask: Ask, cast: Any) -> None:
    provisioning.suspend(cast.acme, actor="user:olivia", reason="Unpaid")
    with pytest.raises(ProblemError) as refused:
        ask()
    assert refused.value.code == "tenant_suspended"


def test_a_stranger_finds_nothing(ask: Ask, cast: Any) -> None:
    row = ask()
    with pytest.raises(ProblemError) as refused:
        quota_requests.withdraw(cast.globex, row.public_id, by=None, actor="user:mallory", now=timezone.now())
    assert refused.value.code == "not_found"
