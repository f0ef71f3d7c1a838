from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from tenants.models import ApiKey, TenantState
from tests.portal.web.conftest import Cast, text_of


@pytest.fixture
def suspended(cast: Cast) -> Cast:
    cast.acme.state, cast.acme.state_reason = TenantState.SUSPENDED, "Unpaid since May"
    cast.acme.save()
    return cast


def test_pages_say_so(suspended: Cast, browse: Callable[[str], Client]) -> None:
    body = text_of(browse("alice").get("/t/acme/keys"))
    assert "This tenant is suspended." in body
    assert "The reason given: “Unpaid since May”. You can look" in body
    assert "Create key" not in body


@pytest.mark.parametrize("page", ["keys/new", "members/new", "budget/new", "webhooks/new"])
def test_nothing_can_be_changed(suspended: Cast, browse: Callable[[str], Client], page: str) -> None:
    answer = browse("alice").post(
        f"/t/acme/{page}",
        {"name": "x", "owner": "me", "scopes": ["decide"], "lifetime": "30", "amount": "5", "thresholds": "80"},
    )
    assert answer.status_code == 403
    assert "suspended" in text_of(answer)
    assert not ApiKey.objects.exists()
