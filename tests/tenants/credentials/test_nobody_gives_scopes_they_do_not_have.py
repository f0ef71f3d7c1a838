from __future__ import annotations

import pytest

from tenants.credentials import apikeys
from tenants.models import ApiKey
from tenants.problems import Denied, Invalid
from tests.tenants.cast import Cast


@pytest.mark.parametrize(
    ("name", "scope"), [("bob", "keys:write"), ("bob", "cost:read"), ("carol", "usage:write"), ("victor", "decide")]
)
def test_a_role_limits_the_scopes_of_its_keys(cast: Cast, name: str, scope: str) -> None:
    member = cast.membership(name)
    with pytest.raises(Denied, match="do not have"):
        apikeys.create(cast.acme, name="x", scopes=[scope], by=member, member=member, actor=f"user:{name}")
    assert not ApiKey.objects.exists()


def test_a_key_gives_at_most_its_own_scopes(cast: Cast) -> None:
    with pytest.raises(Denied, match="cost:read"):
        apikeys.create(
            cast.acme, name="x", scopes=["cost:read"], by=None, held={"keys:write", "usage:read"}, actor="key:x"
        )


def test_an_admin_gives_a_member_no_more_than_the_members_role_has(cast: Cast) -> None:
    with pytest.raises(Invalid, match="role does not allow"):
        apikeys.create(
            cast.acme,
            name="x",
            scopes=["cost:read"],
            by=cast.membership("ada"),
            member=cast.membership("bob"),
            actor="user:ada",
        )


@pytest.mark.parametrize("scopes", [[], ["limits:write"], ["decide", "root"]])
def test_unknown_and_missing_scopes_are_refused(cast: Cast, scopes: list[str]) -> None:
    with pytest.raises(Invalid):
        apikeys.create(cast.acme, name="x", scopes=scopes, by=None, actor="system:test")
