from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.utils import timezone

from tenants.credentials import apikeys
from tenants.enforcement.counting import refused_hours
from tests.portal.web.conftest import Cast, text_of


@pytest.fixture
def refused(cast: Cast) -> None:
    """Bob's notebook was refused 12 times by the minute, the gateway 1,300 times by the month."""
    alice, bob = cast.membership("alice"), cast.membership("bob")
    mine = apikeys.create(cast.acme, name="Notebook", scopes=["decide"], by=bob, member=bob, actor="user:bob").key
    gateway = apikeys.create(cast.acme, name="Gateway", scopes=["decide"], by=alice, member=None, actor="user:a").key
    hour = int(timezone.now().timestamp()) // 3600 * 3600
    refused_hours.record({("acme", hour, mine.key_id, "minute"): 12, ("acme", hour, gateway.key_id, "month"): 1_300})


def test_owners_see_everybody_a_member_only_the_own_calls(refused: None, browse: Callable[[str], Client]) -> None:
    page = text_of(browse("alice").get("/t/acme/quotas"))
    section = page[page.index('id="refused"') :]
    assert section.index("Gateway") < section.index("1,300") < section.index(">bob<")
    assert "Monthly quota" in section
    page = text_of(browse("bob").get("/t/acme/quotas"))
    assert "Your refused calls" in page
    assert "Gateway" not in page


def test_nobody_refused_is_said(browse: Callable[[str], Client]) -> None:
    assert "No call was refused by a limit" in text_of(browse("alice").get("/t/acme/quotas"))
