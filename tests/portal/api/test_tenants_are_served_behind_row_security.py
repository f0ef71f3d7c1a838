from __future__ import annotations

import pytest
from django.db import connection
from rest_framework.request import Request
from rest_framework.response import Response

from metering.models import Budget
from tenants.api import people
from tenants.models import AuditEntry, Membership
from tests.portal.api.calling import Callers, problem


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """What the database shows to the handler of GET …/members: its role, and rows that nobody has filtered."""
    looks: list[tuple[str, int, int]] = []

    def look(self: people.MembersView, request: Request, slug: str) -> Response:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_user")
            role = cursor.fetchone()[0]
        looks.append((role, Membership.objects.count(), Budget.objects.count()))
        return Response({})

    monkeypatch.setattr(people.MembersView, "get", look)
    return looks


@pytest.fixture(autouse=True)
def _budgets(cast: object) -> None:
    Budget.objects.create(tenant=cast.acme, amount=1)  # type: ignore[attr-defined]
    Budget.objects.create(tenant=cast.globex, amount=1)  # type: ignore[attr-defined]


@pytest.mark.parametrize("who", ["key", "person"])
def test_a_query_that_forgets_its_filter_finds_one_tenant(
    callers: Callers, seen: list[tuple[str, int, int]], who: str
) -> None:
    caller = callers.key() if who == "key" else callers.person("alice")
    assert caller.get("tenants/acme/members").status_code == 200
    assert seen == [("portal_tenant", 5, 1)]


@pytest.mark.parametrize("who", ["token", "session"])
def test_operators_work_outside_of_it(callers: Callers, seen: list[tuple[str, int, int]], who: str) -> None:
    caller = callers.token() if who == "token" else callers.person("olivia")
    assert caller.get("tenants/acme/members").status_code == 200
    assert seen[0][0] != "portal_tenant"
    assert seen[0][1:] == (6, 2)


def test_the_next_request_starts_afresh(callers: Callers, seen: list[tuple[str, int, int]]) -> None:
    callers.key().get("tenants/acme/members")
    callers.key(tenant="globex").get("tenants/globex/members")
    assert [look[1] for look in seen] == [5, 1]
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, current_setting('app.tenant', true)")
        role, tenant = cursor.fetchone()
    assert (role != "portal_tenant", tenant) == (True, "")


def test_a_refused_write_leaves_nothing_behind(callers: Callers) -> None:
    key = callers.key()
    entries = AuditEntry.objects.count()
    problem(key.put("tenants/acme/budget", {"amount": "10", "thresholds": [80, 80]}), 400, "validation_error")
    assert AuditEntry.objects.count() == entries
