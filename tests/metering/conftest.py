"""The fixed cast's tenants, for everything that meters and bills."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tenants.models import Tenant, Tier

NOW = datetime(2026, 7, 15, 12, 0, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    """A quiet Wednesday noon (UTC) in the middle of a month."""
    return NOW


@pytest.fixture
def acme(db: None) -> Tenant:
    """acme, on the standard tier, in UTC."""
    return Tenant.objects.create(slug="acme", name="Acme Radiology", tier=Tier.objects.get(slug="standard"))


@pytest.fixture
def globex(db: None) -> Tenant:
    """globex, the strangers."""
    return Tenant.objects.create(slug="globex", name="Globex", tier=Tier.objects.get(slug="scale"))
