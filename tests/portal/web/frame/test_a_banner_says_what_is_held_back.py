from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from tenants.limiting import blocks
from tests.portal.web.conftest import Cast, text_of


@pytest.fixture
def blocked(cast: Cast) -> None:
    now = timezone.now()
    blocks.put(
        cast.acme, "block", code="budget_exhausted", origin="budget:1:2026-07", detail="100% of the budget “Month” ($100.00) is spent.",
        until=now + timedelta(days=3), actor="budget", now=now,
    )  # fmt: skip


def test_those_who_see_costs_read_the_amount_and_where_to_raise_it(
    blocked: None, browse: Callable[[str], Client]
) -> None:
    body = text_of(browse("carol").get("/t/acme/"))
    assert "Calls are refused" in body
    assert "$100.00" in body
    assert "Raise the budget" in body


def test_others_read_what_happens_and_no_amount(blocked: None, browse: Callable[[str], Client]) -> None:
    body = text_of(browse("bob").get("/t/acme/"))
    assert "Calls are refused" in body
    assert "$100.00" not in body
    assert "Raise the budget" not in body


def test_other_tenants_read_nothing(blocked: None, browse: Callable[[str], Client]) -> None:
    assert "Calls are refused" not in text_of(browse("mallory").get("/t/globex/"))
