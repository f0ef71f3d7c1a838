from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from tenants.credentials import apikeys
from tenants.models import ApiKey
from tenants.problems import Conflict
from tests.tenants.cast import Cast


def make(cast: Cast) -> ApiKey:
    return apikeys.create(cast.acme, name="Gateway", scopes=["decide"], by=None, actor="system:test").key


@pytest.fixture(autouse=True)
def _three_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apikeys, "MOST_KEYS", 3)


def test_usable_ones_are_counted(cast: Cast) -> None:
    for _ in range(3):
        make(cast)
    with pytest.raises(Conflict, match="This tenant has 3 keys"):
        make(cast)


@pytest.mark.parametrize("ended", [{"expires_at": timedelta(0)}, {"revoked_at": timedelta(0)}])
def test_ended_ones_are_not(cast: Cast, ended: dict[str, timedelta]) -> None:
    for _ in range(3):
        make(cast)
    ApiKey.objects.filter(tenant=cast.acme).update(**{name: timezone.now() + ago for name, ago in ended.items()})
    assert make(cast).is_usable(timezone.now())


def test_a_key_can_be_rotated_when_there_is_no_room_for_another(cast: Cast) -> None:
    keys = [make(cast) for _ in range(3)]
    assert apikeys.rotate(keys[0], by=None, actor="system:test").key.is_usable(timezone.now())


def test_rotating_the_same_key_again_and_again_ends_too(cast: Cast) -> None:
    key = make(cast)
    for _ in range(5):
        apikeys.rotate(key, by=None, actor="system:test")
    with pytest.raises(Conflict):
        apikeys.rotate(key, by=None, actor="system:test")
