from __future__ import annotations

from tenants.credentials import apikeys
from tenants.models import Role
from tenants.people import memberships
from tests.tenants.cast import Cast


def test_scopes_beyond_the_new_role_are_gone(cast: Cast) -> None:
    ada = cast.membership("ada")
    key = apikeys.create(cast.acme, name="All", scopes=apikeys.ALL_SCOPES, by=ada, member=ada, actor="user:ada").key
    memberships.change_role(ada, Role.MEMBER, by=cast.membership("alice"), actor="user:alice")
    key.refresh_from_db()
    assert set(key.scopes) == apikeys.ROLE_SCOPES[Role.MEMBER]
    assert key.revoked_at is None


def test_a_key_that_keeps_nothing_is_revoked(cast: Cast) -> None:
    carol = cast.membership("carol")
    key = apikeys.create(cast.acme, name="Costs", scopes=["cost:read"], by=carol, member=carol, actor="user:carol").key
    memberships.change_role(carol, Role.VIEWER, by=cast.membership("alice"), actor="user:alice")
    key.refresh_from_db()
    assert key.scopes == []
    assert key.revoked_at is not None
