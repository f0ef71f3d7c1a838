from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from tenants.credentials import apikeys
from tenants.models import ApiKey, AuditEntry
from tests.tenants.cast import Cast


def test_used_keys_and_no_others(cast: Cast) -> None:
    used, idle = (apikeys.create(cast.acme, name=n, scopes=["decide"], by=None, actor="system:test").key for n in "ab")
    entries, now = AuditEntry.objects.count(), timezone.now()
    assert (
        apikeys.mark_used(
            [(cast.acme.pk, used.key_id), (cast.globex.pk, idle.key_id), (cast.acme.pk, "no-such-key")], now
        )
        == 1
    )
    assert dict(ApiKey.objects.values_list("pk", "last_used_at")) == {used.pk: now, idle.pk: None}
    assert AuditEntry.objects.count() == entries


def test_once_a_minute_is_enough(cast: Cast) -> None:
    key = apikeys.create(cast.acme, name="a", scopes=["decide"], by=None, actor="system:test").key
    uses, now = [(cast.acme.pk, key.key_id)], timezone.now()
    changed = [apikeys.mark_used(uses, now + timedelta(seconds=seconds)) for seconds in (0, 30, 59, 61, 62)]
    assert changed == [1, 0, 0, 1, 0]


def test_time_does_not_run_backwards(cast: Cast) -> None:
    key = apikeys.create(cast.acme, name="a", scopes=["decide"], by=None, actor="system:test").key
    now = timezone.now()
    apikeys.mark_used([(cast.acme.pk, key.key_id)], now)
    apikeys.mark_used([(cast.acme.pk, key.key_id)], now - timedelta(hours=1))
    key.refresh_from_db()
    assert key.last_used_at == now
