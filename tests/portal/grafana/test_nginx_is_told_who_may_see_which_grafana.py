"""auth_request: the subject is the membership's tenant, never what a request says; everybody else gets no token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse

from portal import grafana_access
from tenants import provisioning
from tenants.people import memberships
from tests.tenants.cast import Cast

Ask = Callable[..., HttpResponse]


@pytest.mark.parametrize("person", ["alice", "ada", "carol"])
def test_who_sees_costs_gets_a_token_for_their_tenant(ask: Ask, claims: Any, person: str) -> None:
    answer = ask(person, "acme")
    assert (answer.status_code, answer.content) == (204, b"")
    found = claims(answer, "grafana-tenant")
    assert (found["sub"], found["role"], found["iss"]) == ("acme", "Viewer", "portal")
    assert found["exp"] - found["iat"] == 60
    assert answer["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer


@pytest.mark.parametrize(
    ("person", "slug", "status"),
    [
        (None, "acme", 401), ("bob", "acme", 403), ("victor", "acme", 403), ("mallory", "acme", 403), ("alice", "globex", 403),
        ("alice", "", 403), ("alice", "nobody", 403), ("alice", "acme|globex", 403), ("alice", ".*", 403), ("alice", "ACME", 403),
        ("olivia", "acme", 403),
    ],
)  # fmt: skip
def test_everybody_else_gets_none(ask: Ask, person: str | None, slug: str, status: int) -> None:
    answer = ask(person, slug)
    assert answer.status_code == status
    assert grafana_access.HEADER not in answer


def test_a_suspended_tenant_sees_nothing(ask: Ask, cast: Cast) -> None:
    provisioning.suspend(cast.acme, actor="user:olivia", reason="Unpaid")
    assert ask("alice", "acme").status_code == 403


def test_who_left_sees_nothing(ask: Ask, cast: Cast) -> None:
    memberships.remove(cast.membership("carol"), by=None, actor="system:test")
    assert ask("carol", "acme").status_code == 403


def test_a_switched_off_account_sees_nothing(ask: Ask, cast: Cast) -> None:
    alice = cast.people["alice"]
    alice.is_active = False
    alice.save()
    assert ask("alice", "acme").status_code == 401


def test_operators_have_a_door_of_their_own(ask: Ask, claims: Any) -> None:
    assert claims(ask("olivia", door="operator"), "grafana-ops")["role"] == "Editor"
    assert claims(ask("sam", door="operator"), "grafana-ops")["role"] == "Viewer"
    for person, status in (("alice", 403), ("mallory", 403), (None, 401)):
        assert ask(person, door="operator").status_code == status


def test_without_keys_nobody_gets_in(ask: Ask, settings: Any) -> None:
    settings.GRAFANA_KEYS_DIR = ""
    assert ask("alice", "acme").status_code == 403
