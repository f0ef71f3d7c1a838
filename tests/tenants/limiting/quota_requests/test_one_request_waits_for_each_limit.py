from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from tenants.limiting import quota_requests
from tenants.models import QuotaRequest
from tenants.problems import Conflict

from .conftest import Ask


def test_the_same_wish_is_the_same_request(ask: Ask) -> None:
    row = ask()
    assert ask().pk == row.pk
    assert QuotaRequest.objects.count() == 1


def test_another_wish_for_the_limit_waits_its_turn(ask: Ask, cast: Any) -> None:
    first = ask()
    with pytest.raises(Conflict) as refused:
        ask("bob", asked=Decimal(300))
    assert refused.value.extra["id"] == str(first.public_id)
    quota_requests.withdraw(cast.acme, first.public_id, by=None, actor="user:alice", now=timezone.now())
    assert ask("bob", asked=Decimal(300)).state == "pending"


def test_other_limits_and_other_tenants_are_not_held_up(ask: Ask) -> None:
    ask()
    ask(name="storage_gb", asked=Decimal(5000))
    ask("mallory", asked=Decimal(300))
    assert QuotaRequest.objects.filter(state="pending").count() == 3


def test_the_database_keeps_it(ask: Ask) -> None:
    row = ask()
    with pytest.raises(IntegrityError), transaction.atomic():
        QuotaRequest.objects.create(tenant=row.tenant, kind=row.kind, name=row.name, asked=1, justification="x")


def test_operators_are_not_flooded(ask: Ask, cast: Any) -> None:
    for number in range(quota_requests.MOST_A_DAY):
        row = ask(asked=Decimal(200 + number))
        quota_requests.withdraw(cast.acme, row.public_id, by=None, actor="user:alice", now=timezone.now())
    with pytest.raises(Conflict):
        ask()
