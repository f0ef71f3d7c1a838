from __future__ import annotations

from tenants.credentials import apikeys
from tenants.models import Membership
from tests.tenants.cast import Cast


def test_all_keys_of_a_member_share_windows(cast: Cast) -> None:
    bob = cast.membership("bob")
    made = [
        apikeys.create(cast.acme, name=n, scopes=["decide"], by=bob, member=bob, actor="user:bob").key
        for n in ("a", "b")
    ]
    assert {key.key_id[:8] for key in made} == {bob.subject}


def test_a_service_key_has_a_subject_of_its_own(cast: Cast) -> None:
    made = [apikeys.create(cast.acme, name=n, scopes=["decide"], by=None, actor="system:test").key for n in ("a", "b")]
    subjects = {key.key_id[:8] for key in made}
    assert len(subjects) == 2
    assert not subjects & set(Membership.objects.values_list("subject", flat=True))


def test_a_successor_keeps_the_windows(cast: Cast) -> None:
    old = apikeys.create(cast.acme, name="Gateway", scopes=["decide"], by=None, actor="system:test").key
    new = apikeys.rotate(old, by=None, actor="system:test").key
    assert new.key_id[:8] == old.key_id[:8]
    assert new.key_id != old.key_id
