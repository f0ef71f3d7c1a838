"""The SDK's events on the live API: booked for the tenant of the key, once, whatever is sent again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from aurelius import Client, Events
from django.utils import timezone

from metering.models import UsageEvent
from tenants.credentials import apikeys
from tenants.models import Tenant, Tier
from tests.clients.serving import PATIENCE, wait_until


@pytest.fixture
def keys(acme: Tenant, portal: str) -> dict[str, str]:
    globex = Tenant.objects.create(slug="globex", name="Globex", tier=Tier.objects.get(slug="standard"))
    return {
        tenant.slug: apikeys.create(tenant, name="gateway", scopes=["usage:write"], by=None, actor="test").text
        for tenant in (acme, globex)
    }


def test_a_gateway_reports_for_its_tenants(portal: str, keys: dict[str, str], tmp_path: Path) -> None:
    at = timezone.now() - timedelta(minutes=10)
    for _ in range(2):  # the same facts, told by a gateway that was started again
        with Events(Client(portal, keys["acme"]), source="/gateway", spool=tmp_path, key_of=keys, every=600) as events:
            events.send("gpu_seconds", "1.5", id="a", time=at, tenant="acme", model="H100", project="mammography")
            events.send("gpu_seconds", "2.5", id="b", time=at, tenant="globex", model="H100")
            assert events.flush(PATIENCE)
    assert (events.accepted, events.duplicates, events.rejected) == (0, 2, 0)
    assert UsageEvent.objects.count() == 2
    booked = {event.tenant.slug: event for event in UsageEvent.objects.select_related("tenant")}
    assert booked["acme"].dims == {"model": "H100", "project": "mammography"}
    assert {slug: event.quantity_micro for slug, event in booked.items()} == {"acme": 1_500_000, "globex": 2_500_000}


def test_the_same_id_with_other_content_is_a_conflict_that_is_told(portal: str, keys: dict[str, str]) -> None:
    at = timezone.now() - timedelta(minutes=10)
    told = []
    with Events(
        Client(portal, keys["acme"]), every=600, on_rejected=lambda event, why: told.append(why["status"])
    ) as events:
        events.send("gpu_seconds", 1, id="a", time=at, model="H100")
        assert events.flush(PATIENCE)
        events.send("gpu_seconds", 2, id="a", time=at, model="H100")
        assert events.flush(PATIENCE)
    assert told == ["conflict"]


def test_what_a_tenant_used_is_never_booked_for_another(portal: str, keys: dict[str, str], tmp_path: Path) -> None:
    """A gateway of many tenants that was given one key: acme does not pay for globex, and nothing is lost either."""
    at = timezone.now() - timedelta(minutes=10)
    events = Events(Client(portal, keys["acme"]), spool=tmp_path, every=0.01)
    events.send("gpu_seconds", 1, id="a", time=at, tenant="acme", model="H100")
    events.send("gpu_seconds", 2, id="b", time=at, tenant="globex", model="H100")
    wait_until(lambda: events.accepted == 1, "acme's own event is not booked")
    assert not events.close(timeout=1)
    with Events(Client(portal, keys["acme"]), spool=tmp_path, key_of=keys, every=600) as again:
        assert again.flush(PATIENCE)
    assert {event.tenant.slug: event.event_id for event in UsageEvent.objects.select_related("tenant")} == {
        "acme": "a",
        "globex": "b",
    }
