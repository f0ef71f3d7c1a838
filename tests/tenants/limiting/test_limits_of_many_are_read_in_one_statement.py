from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db.models import prefetch_related_objects
from django.utils import timezone

from tenants.limiting import overrides
from tenants.limiting.prefetching import prefetch_limits
from tenants.models import Tenant
from tests.tenants.cast import Cast


def everyone() -> list[Tenant]:
    return list(Tenant.objects.select_related("tier").order_by("slug"))


def rows(tenant: Tenant) -> list[list[dict[str, Any]]]:
    lists = (tenant.tier.rate_limits.all(), tenant.tier.quotas.all(), tenant.overrides.all())
    return [
        [{field.attname: getattr(row, field.attname) for field in row._meta.fields} for row in rows] for rows in lists
    ]


def test_they_are_what_prefetch_related_reads(cast: Cast, django_assert_num_queries: Any) -> None:
    now = timezone.now()
    overrides.set_limit(cast.acme, "quota", "gpu_hours", Decimal("12.5"), reason='é "x"', actor="test")
    overrides.set_limit(
        cast.acme, "quota", "gpu_hours", None, reason="r", actor="test", valid_from=now + timedelta(days=3)
    )
    overrides.set_limit(
        cast.acme, "rate_limit", "minute", 0, reason="r", actor="test", valid_until=now + timedelta(days=9)
    )
    expected, found = everyone(), everyone()
    prefetch_related_objects(expected, "tier__rate_limits", "tier__quotas", "overrides")
    with django_assert_num_queries(1):
        prefetch_limits(found)
        assert any(rows(tenant)[2] for tenant in found)
        policies = [overrides.effective_policy(tenant, now) for tenant in found]
    assert [rows(tenant) for tenant in found] == [rows(tenant) for tenant in expected]
    assert policies == [overrides.effective_policy(tenant, now) for tenant in expected]


def test_what_is_there_is_not_read_again(cast: Cast, django_assert_num_queries: Any) -> None:
    found = everyone()
    prefetch_limits(found)
    with django_assert_num_queries(0):
        prefetch_limits(found)
        prefetch_related_objects(found, "tier__rate_limits", "tier__quotas", "overrides")
