from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from tenants.credentials import apikeys
from tenants.models import ApiKey
from tests.portal.web.conftest import Cast, text_of


def issue(cast: Cast, name: str, scopes: tuple[str, ...] = ("usage:read",)) -> ApiKey:
    member = cast.membership(name)
    return apikeys.create(
        cast.acme, name="Nightly export", scopes=scopes, by=member, member=member, actor=f"user:{name}"
    ).key


def send(client: Client, key: ApiKey, overlap: str) -> str:
    page = f"/t/acme/keys/{key.key_id}/rotate"
    ticket = re.search(r'name="once" value="([^"]+)"', text_of(client.get(page)))
    assert ticket is not None
    return text_of(client.post(page, {"overlap": overlap, "once": ticket[1]}))


@pytest.mark.parametrize("name", ["alice", "bob", "carol", "victor"])
def test_both_keys_work_until_the_chosen_time(cast: Cast, browse: Callable[[str], Client], name: str) -> None:
    old = issue(cast, name)
    body = send(browse(name), old, "3600")
    assert re.search(rf"gpk_\w+_acme_{old.key_id[:8]}[a-z2-7]{{8}}_", body), "the new key, shown once"
    old.refresh_from_db()
    assert old.revoked_at is None
    assert old.expires_at is not None
    assert timedelta(minutes=59) < old.expires_at - timezone.now() <= timedelta(hours=1)
    assert ApiKey.objects.filter(tenant=cast.acme, name="Nightly export").count() == 2


def test_without_overlap_the_old_key_ends_at_once(cast: Cast, browse: Callable[[str], Client]) -> None:
    old = issue(cast, "bob")
    assert "The old key has ended." in send(browse("bob"), old, "0")
    old.refresh_from_db()
    assert old.revoked_at is not None


def test_reloading_the_page_makes_no_third_key(cast: Cast, browse: Callable[[str], Client]) -> None:
    old, bob = issue(cast, "bob"), browse("bob")
    page = f"/t/acme/keys/{old.key_id}/rotate"
    ticket = re.search(r'name="once" value="([^"]+)"', text_of(bob.get(page)))
    assert ticket is not None
    for _ in range(2):
        bob.post(page, {"overlap": "86400", "once": ticket[1]})
    assert ApiKey.objects.filter(tenant=cast.acme).count() == 2


def test_anothers_key_and_an_ended_one_are_not_found(cast: Cast, browse: Callable[[str], Client]) -> None:
    foreign, ended = issue(cast, "alice"), issue(cast, "bob")
    apikeys.revoke(ended, by=None, actor="test")
    for key in (foreign, ended):
        assert browse("bob").get(f"/t/acme/keys/{key.key_id}/rotate").status_code == 404
        assert browse("bob").post(f"/t/acme/keys/{key.key_id}/rotate", {"overlap": "0"}).status_code == 404


def test_a_time_that_is_not_offered_is_refused(cast: Cast, browse: Callable[[str], Client]) -> None:
    key = issue(cast, "bob")
    assert browse("bob").post(f"/t/acme/keys/{key.key_id}/rotate", {"overlap": "99999999"}).status_code == 400
    assert ApiKey.objects.filter(tenant=cast.acme).count() == 1
