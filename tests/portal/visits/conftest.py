"""olivia, an operator, on a visit to acme."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.http import HttpResponse
from django.test import Client

from tests.tenants.cast import Cast, make_cast

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
Browse = Callable[[str], Client]


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


@pytest.fixture
def browse(cast: Cast) -> Browse:
    """A signed-in browser of that person."""

    def signed_in(name: str) -> Client:
        client = Client()
        client.force_login(cast.people[name], backend=BACKEND)
        return client

    return signed_in


def begin(client: Client, cast: Cast, role: str = "owner", reason: str = "ticket 17: a wrong total") -> HttpResponse:
    """Press the button in the admin and answer its question."""
    url = f"/admin/tenants/tenant/{cast.acme.pk}/visit/"
    return client.post(url, {"confirmed": "1", "role": role, "reason": reason})
