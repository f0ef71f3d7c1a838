from __future__ import annotations

import pytest

from tenants.models import Role
from tenants.people import memberships
from tenants.problems import Conflict
from tests.tenants.cast import Cast


def test_last_owner_cannot_leave(cast: Cast) -> None:
    alice = cast.membership("alice")
    with pytest.raises(Conflict, match="last owner"):
        memberships.remove(alice, by=alice, actor="user:alice")


@pytest.mark.parametrize("by_operator", [True, False])
def test_last_owner_cannot_be_demoted_by_anyone(cast: Cast, by_operator: bool) -> None:
    alice = cast.membership("alice")
    with pytest.raises(Conflict, match="last owner"):
        memberships.change_role(alice, Role.VIEWER, by=None if by_operator else alice, actor="user:x")
    assert cast.membership("alice").role == Role.OWNER


def test_an_owner_leaves_when_there_is_another(cast: Cast) -> None:
    alice = cast.membership("alice")
    memberships.change_role(cast.membership("ada"), Role.OWNER, by=alice, actor="user:alice")
    assert memberships.remove(alice, by=alice, actor="user:alice").removed_at is not None


def test_owners_who_left_do_not_count(cast: Cast) -> None:
    alice, ada = cast.membership("alice"), cast.membership("ada")
    memberships.change_role(ada, Role.OWNER, by=alice, actor="user:alice")
    memberships.remove(ada, by=alice, actor="user:alice")
    with pytest.raises(Conflict, match="last owner"):
        memberships.remove(alice, by=alice, actor="user:alice")
