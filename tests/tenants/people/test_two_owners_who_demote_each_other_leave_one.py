from __future__ import annotations

import threading

import pytest
from django.db import connection

from tenants.models import Membership, Role
from tenants.people import memberships
from tenants.problems import ProblemError
from tests.tenants.cast import make_cast


@pytest.mark.django_db(transaction=True)
def test_at_the_same_instant_one_of_them_is_refused() -> None:
    cast = make_cast()
    memberships.change_role(cast.membership("ada"), Role.OWNER, by=None, actor="system:test")
    start = threading.Barrier(2)
    outcomes: list[str] = []

    def demote(who: str, whom: str) -> None:
        target, by = cast.membership(whom), cast.membership(who)
        start.wait()
        try:
            memberships.change_role(target, Role.VIEWER, by=by, actor=f"user:{who}")
            outcomes.append("done")
        except ProblemError as problem:
            outcomes.append(problem.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=demote, args=pair) for pair in (("alice", "ada"), ("ada", "alice"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["done", "permission_denied"]
    assert Membership.objects.filter(tenant=cast.acme, role=Role.OWNER, removed_at__isnull=True).count() == 1
