"""The Python client and what is built on it, against the live API."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from metering.models import Reservation
from tenants.credentials import apikeys
from tenants.models import Tenant, Tier, TierRateLimit
from tests.portal.api.calling import patient_enforcement
from tests.tenants.enforcement.stage import Stage

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "clients" / "python"
sys.path.insert(0, str(PACKAGE))


@pytest.fixture
def acme(transactional_db: None) -> Tenant:
    TierRateLimit.objects.update(limit=None)
    return Tenant.objects.create(slug="acme", name="Acme Radiology", tier=Tier.objects.get(slug="standard"))


@pytest.fixture
def portal(
    acme: Tenant, live_server: Any, settings: Any, redis_server: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The live API's address; it and a service key of acme are in the environment."""
    with patient_enforcement(settings):
        issued = apikeys.create(acme, name="cluster", scopes=["reserve"], by=None, actor="test")
        monkeypatch.setenv("AURELIUS_URL", live_server.url)
        monkeypatch.setenv("AURELIUS_API_KEY", issued.text)
        yield live_server.url


@pytest.fixture
def only() -> Callable[[], Reservation]:
    """The one reservation that there is."""
    return lambda: Reservation.objects.get()


@pytest.fixture
def child_environment(portal: str) -> dict[str, str]:
    """For scripts that call the command line."""
    return {**os.environ, "PYTHONPATH": str(PACKAGE), "AURELIUS_COMMAND": f"{sys.executable} -m aurelius.cli"}


@pytest.fixture
def stage(redis_server: Any) -> Stage:
    """An empty Redis of our own with tenants to put on it, without a database behind it."""
    return Stage(redis_server.url)
