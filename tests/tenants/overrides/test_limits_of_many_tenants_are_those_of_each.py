from __future__ import annotations

from datetime import timedelta

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tenants import overrides
from tenants.models import Tenant
from tests.tenants.cast import Cast


def test_limits_of_many_tenants_are_those_of_each(cast: Cast) -> None:
    now = timezone.now()
    overrides.set_limit(cast.acme, "quota", "gpu_hours", 7, reason="r", actor="test")
    overrides.set_limit(cast.globex, "rate_limit", "minute", None, reason="r", actor="test")
    overrides.set_limit(
        cast.globex, "quota", "storage_gb", 0, reason="r", actor="test", valid_from=now + timedelta(days=1)
    )
    later = now + timedelta(days=2)
    everyone = list(Tenant.objects.all())
    for instant in (timezone.now(), later):
        with CaptureQueriesContext(connection) as queries:
            found = overrides.effective_policies(everyone, instant)
        assert len(queries) <= 4
        assert found == {tenant.pk: overrides.effective_policy(tenant, instant) for tenant in everyone}
    assert found[cast.globex.pk].quota("storage_gb").limit == 0
