from __future__ import annotations

import pytest

from tenants.credentials import apikeys
from tenants.people import memberships
from tenants.problems import Denied, Invalid
from tests.tenants.cast import Cast


@pytest.mark.parametrize("for_whom", [None, "ada"])
def test_a_member_makes_no_service_key_and_none_for_others(cast: Cast, for_whom: str | None) -> None:
    member = cast.membership(for_whom) if for_whom else None
    with pytest.raises(Denied, match="for yourself only"):
        apikeys.create(
            cast.acme, name="x", scopes=["decide"], by=cast.membership("bob"), member=member, actor="user:bob"
        )


def test_a_member_revokes_their_own_key_and_no_other(cast: Cast) -> None:
    bob, ada = cast.membership("bob"), cast.membership("ada")
    own = apikeys.create(cast.acme, name="own", scopes=["decide"], by=bob, member=bob, actor="user:bob").key
    other = apikeys.create(cast.acme, name="other", scopes=["decide"], by=ada, actor="user:ada").key
    assert apikeys.revoke(own, by=bob, actor="user:bob").revoked_at
    with pytest.raises(Denied, match="your own keys"):
        apikeys.revoke(other, by=bob, actor="user:bob")
    other.refresh_from_db()
    assert other.revoked_at is None


def test_a_membership_that_ended_makes_nothing(cast: Cast) -> None:
    stale = cast.membership("bob")
    memberships.remove(cast.membership("bob"), by=None, actor="system:test")
    with pytest.raises(Denied, match="ended"):
        apikeys.create(cast.acme, name="x", scopes=["decide"], by=stale, member=stale, actor="user:bob")


def test_a_member_of_another_tenant_is_no_member_here(cast: Cast) -> None:
    with pytest.raises(Invalid, match="no such member"):
        apikeys.create(
            cast.acme, name="x", scopes=["decide"], by=None, member=cast.membership("mallory"), actor="system:test"
        )
