from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from tenants.limiting import overrides
from tenants.models import Override
from tests.tenants.cast import Cast

WHO = {"actor": "user:olivia", "reason": "Contract"}


def minute(cast: Cast, at_minutes: float = 0) -> tuple[int | None, str]:
    effective = overrides.effective_policy(cast.acme, timezone.now() + timedelta(minutes=at_minutes)).window("minute")
    return (None if effective.limit is None else int(effective.limit)), effective.source


def test_tier_then_override_then_tier(cast: Cast) -> None:
    assert minute(cast) == (60, "tier")
    overrides.set_limit(cast.acme, "rate_limit", "minute", 5, valid_until=timezone.now() + timedelta(minutes=10), **WHO)
    assert minute(cast) == (5, "override")
    assert minute(cast, 11) == (60, "tier")


def test_one_that_starts_later_waits(cast: Cast) -> None:
    overrides.set_limit(cast.acme, "rate_limit", "minute", 5, valid_from=timezone.now() + timedelta(minutes=10), **WHO)
    assert minute(cast) == (60, "tier")
    assert minute(cast, 11) == (5, "override")


def test_a_temporary_one_covers_a_permanent_one_for_its_time(cast: Cast) -> None:
    overrides.set_limit(cast.acme, "rate_limit", "minute", 100, **WHO)
    overrides.set_limit(cast.acme, "rate_limit", "minute", 500, valid_until=timezone.now() + timedelta(hours=1), **WHO)
    assert minute(cast) == (500, "override")
    assert minute(cast, 61) == (100, "override")


def test_setting_again_replaces(cast: Cast) -> None:
    for limit in (100, 200, 300):
        overrides.set_limit(cast.acme, "rate_limit", "minute", limit, **WHO)
    assert minute(cast) == (300, "override")
    assert Override.objects.filter(revoked_at__isnull=True).count() == 1


def test_clearing_brings_the_tier_back_now_and_later(cast: Cast) -> None:
    overrides.set_limit(cast.acme, "rate_limit", "minute", 5, **WHO)
    overrides.set_limit(cast.acme, "rate_limit", "minute", 7, valid_from=timezone.now() + timedelta(hours=1), **WHO)
    overrides.set_limit(cast.acme, "rate_limit", "hour", 9, **WHO)
    assert overrides.clear(cast.acme, "rate_limit", "minute", actor="user:olivia") == 2
    assert minute(cast) == minute(cast, 61) == (60, "tier")
    assert overrides.effective_policy(cast.acme, timezone.now()).window("hour").limit == 9


def test_none_is_unlimited_and_zero_refuses_all(cast: Cast) -> None:
    overrides.set_limit(cast.acme, "rate_limit", "minute", None, **WHO)
    assert minute(cast) == (None, "override")
    overrides.set_limit(cast.acme, "rate_limit", "minute", 0, **WHO)
    assert minute(cast) == (0, "override")


def test_another_tenant_keeps_its_own(cast: Cast) -> None:
    overrides.set_limit(cast.acme, "rate_limit", "minute", 5, **WHO)
    assert overrides.effective_policy(cast.globex, timezone.now()).window("minute").limit == 60
