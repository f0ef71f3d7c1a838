from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from tenants.credentials import apikeys
from tenants.models import ApiKey
from tenants.problems import Conflict, Denied, Invalid
from tests.tenants.cast import Cast


@pytest.fixture
def key(cast: Cast) -> ApiKey:
    return apikeys.create(cast.acme, name="Gateway", scopes=["decide", "usage:write"], by=None, actor="system:test").key


def test_the_old_key_works_for_the_overlap_and_no_longer(key: ApiKey) -> None:
    before = timezone.now()
    new = apikeys.rotate(key, by=None, actor="system:test", overlap=timedelta(hours=1)).key
    key.refresh_from_db()
    assert key.is_usable(before + timedelta(minutes=59))
    assert not key.is_usable(timezone.now() + timedelta(minutes=61))
    assert (new.name, new.scopes, new.expires_at) == (key.name, key.scopes, None)


def test_without_overlap_the_old_key_ends_at_once(key: ApiKey) -> None:
    apikeys.rotate(key, by=None, actor="system:test", overlap=timedelta(0))
    key.refresh_from_db()
    assert key.revoked_at is not None


def test_an_earlier_expiry_stays(cast: Cast) -> None:
    soon = timezone.now() + timedelta(minutes=5)
    key = apikeys.create(cast.acme, name="x", scopes=["decide"], by=None, expires_at=soon, actor="system:test").key
    new = apikeys.rotate(key, by=None, actor="system:test").key
    key.refresh_from_db()
    assert key.expires_at == new.expires_at == soon


def test_a_dead_key_has_no_successor(key: ApiKey) -> None:
    apikeys.revoke(key, by=None, actor="system:test")
    with pytest.raises(Conflict):
        apikeys.rotate(key, by=None, actor="system:test")


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), timedelta(days=31)])
def test_the_overlap_is_bounded(key: ApiKey, overlap: timedelta) -> None:
    with pytest.raises(Invalid):
        apikeys.rotate(key, by=None, actor="system:test", overlap=overlap)


def test_a_weaker_key_cannot_rotate_a_stronger_one(key: ApiKey) -> None:
    with pytest.raises(Denied):
        apikeys.rotate(key, by=None, held={"keys:write"}, actor="key:weak")
