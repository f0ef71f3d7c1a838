from __future__ import annotations

import pytest

from tenants.credentials import apikeys
from tenants.models import ApiKey, Membership, Role
from tenants.people import memberships
from tenants.problems import Conflict
from tests.tenants.cast import Cast


def bobs_key(cast: Cast) -> ApiKey:
    bob = cast.membership("bob")
    return apikeys.create(
        cast.acme, name="Notebook", scopes=["usage:read", "decide"], by=bob, member=bob, actor="user:bob"
    ).key


def test_keys_end_with_the_membership(cast: Cast) -> None:
    key = bobs_key(cast)
    service = apikeys.create(
        cast.acme, name="Gateway", scopes=["decide"], by=cast.membership("ada"), actor="user:ada"
    ).key
    memberships.remove(cast.membership("bob"), by=cast.membership("alice"), actor="user:alice")
    key.refresh_from_db()
    service.refresh_from_db()
    assert key.revoked_at is not None
    assert service.revoked_at is None


def test_coming_back_keeps_the_rate_limit_subject_and_not_the_keys(cast: Cast) -> None:
    key, before = bobs_key(cast), cast.membership("bob")
    memberships.remove(before, by=None, actor="system:test")
    back = memberships.add(cast.acme, cast.people["bob"], Role.VIEWER, by=cast.membership("alice"), actor="user:alice")
    assert (back.pk, back.subject, back.role) == (before.pk, before.subject, Role.VIEWER)
    key.refresh_from_db()
    assert key.revoked_at is not None


def test_a_member_is_not_added_twice(cast: Cast) -> None:
    with pytest.raises(Conflict):
        memberships.add(cast.acme, cast.people["bob"], Role.ADMIN, by=cast.membership("alice"), actor="user:alice")
    assert Membership.objects.get(user=cast.people["bob"]).role == Role.MEMBER
