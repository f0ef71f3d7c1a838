"""Wishes of the fixed cast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from tenants.limiting import quota_requests
from tenants.limiting.quota_requests import Wish
from tenants.models import QuotaRequest
from tests.tenants.cast import Cast

Ask = Callable[..., QuotaRequest]
WISH = Wish("quota", "gpu_hours", Decimal(150), "Training of the mammography model")


@pytest.fixture
def ask(cast: Cast) -> Ask:
    """ask("bob", asked=Decimal(120)): that member asks for acme. The standard tier has 100 GPU hours a month."""

    def made(name: str = "alice", /, **changes: Any) -> QuotaRequest:
        member, user = cast.membership(name), cast.people[name]
        wish = replace(WISH, **changes)
        return quota_requests.request(
            member.tenant, wish, by=member, actor=f"user:{name}", user=user, now=timezone.now()
        )

    return made


@pytest.fixture
def decide(cast: Cast) -> Callable[..., QuotaRequest]:
    """decide(row, granted=…): olivia approves."""

    def approve(row: QuotaRequest, **terms: Any) -> QuotaRequest:
        values: dict[str, Any] = {"granted": None, "valid_until": None, "reason": ""} | terms
        return quota_requests.approve(
            row.tenant,
            row.public_id,
            **values,
            actor="user:olivia",
            decided_by=cast.people["olivia"],
            now=timezone.now(),
        )

    return approve
