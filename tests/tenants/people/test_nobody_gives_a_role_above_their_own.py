from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from tenants.models import Membership, Role, User
from tenants.people import memberships
from tenants.problems import Denied, Invalid
from tests.tenants.cast import Cast


def test_an_admin_makes_no_owner(cast: Cast) -> None:
    with pytest.raises(Denied, match="above your own"):
        memberships.change_role(cast.membership("bob"), Role.OWNER, by=cast.membership("ada"), actor="user:ada")


def test_an_admin_does_not_promote_themselves(cast: Cast) -> None:
    ada = cast.membership("ada")
    with pytest.raises(Denied, match="above your own"):
        memberships.change_role(ada, Role.OWNER, by=ada, actor="user:ada")


@pytest.mark.parametrize("act", [memberships.remove, partial(memberships.change_role, role=Role.VIEWER)])
def test_an_admin_does_not_touch_an_owner(cast: Cast, act: Callable[..., Membership]) -> None:
    memberships.change_role(cast.membership("bob"), Role.OWNER, by=None, actor="system:test")
    owner, admin = cast.membership("bob"), cast.membership("ada")
    with pytest.raises(Denied, match="above your own"):
        act(owner, by=admin, actor="user:ada")


@pytest.mark.parametrize("name", ["carol", "bob", "victor"])
def test_below_admin_nobody_manages_members(cast: Cast, name: str) -> None:
    newcomer = User.objects.create_user("nina")
    with pytest.raises(Denied, match="owner or admin"):
        memberships.add(cast.acme, newcomer, Role.VIEWER, by=cast.membership(name), actor=f"user:{name}")


def test_the_role_is_read_when_it_is_used(cast: Cast) -> None:
    stale = cast.membership("ada")
    memberships.change_role(cast.membership("ada"), Role.MEMBER, by=cast.membership("alice"), actor="user:alice")
    assert stale.role == Role.ADMIN
    with pytest.raises(Denied):
        memberships.change_role(cast.membership("bob"), Role.VIEWER, by=stale, actor="user:ada")


def test_a_manager_of_another_tenant_manages_nothing_here(cast: Cast) -> None:
    with pytest.raises(Denied):
        memberships.remove(cast.membership("bob"), by=cast.membership("mallory"), actor="user:mallory")


def test_everybody_may_leave(cast: Cast) -> None:
    bob = cast.membership("bob")
    memberships.remove(bob, by=bob, actor="user:bob")
    assert not Membership.objects.filter(user=cast.people["bob"], removed_at__isnull=True).exists()


def test_unknown_roles_are_refused(cast: Cast) -> None:
    with pytest.raises(Invalid):
        memberships.change_role(cast.membership("bob"), "root", by=None, actor="system:test")
