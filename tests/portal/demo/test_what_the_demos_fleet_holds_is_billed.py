"""The demo's GPU page must not contradict itself: what its made-up collectors see held is what its ledger bills."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db.models import Sum

from metering.models import GpuDevice, GpuHolderHour, GpuOwnerRule, Reservation, UsageRollup
from portal.demo import gpus
from tenants.models import Tenant
from tests.tenants.cast import Cast

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC).replace(minute=20, second=0, microsecond=0)


@pytest.fixture
def fleet(cast: Cast) -> Iterator[None]:
    Tenant.objects.create(slug="initech", name="Initech", tier=cast.acme.tier)
    gpus.make(NOW)


def holders(node: str, index: int) -> list[str]:
    return [each["tenant"] for each in GpuDevice.objects.get(node=node, index=index).holders]


def test_idle_hours_of_the_past_are_billed_as_they_are_shown(cast: Cast, fleet: None) -> None:
    shown = GpuHolderHour.objects.filter(tenant=cast.acme).aggregate(sum=Sum("held_seconds"))["sum"]
    billed = UsageRollup.objects.filter(tenant=cast.acme, meter="gpu_hours").aggregate(sum=Sum("quantity_micro"))["sum"]

    assert shown == int(billed) / 1e6 == gpus.IDLE_HOURS * 3600


def test_every_seat_is_billed_by_an_event_or_by_a_reservation() -> None:
    for slug in ("acme", "globex", "initech"):
        seats = sum(1 / len(found) for found in gpus.NOW.values() for holder, _, _ in found if holder == slug)
        billed = sum(part for _, _, _, part in gpus.holdings(slug)) + len(gpus.reserved(slug))
        assert billed == seats > 0


def test_a_reserved_gpu_is_held_only_while_a_reservation_is(cast: Cast, fleet: None) -> None:
    assert holders("gpu-a", 0) == holders("gpu-a", 2) == []
    Reservation.objects.create(
        tenant=cast.globex, gpus=2, gpu_model="H100", expected_seconds=3600, created_by="test", ttl_seconds=900, started_at=NOW,
        heartbeat_at=NOW, lapses_at=NOW + timedelta(hours=1), booked_until=NOW, estimate=Decimal(5), currency="USD", price_version="v1",
    )  # fmt: skip
    gpus.tick(NOW + timedelta(minutes=1), timedelta(minutes=1))

    assert holders("gpu-a", 0) == holders("gpu-a", 1) == ["globex"]
    assert holders("gpu-a", 2) == []


def test_the_mapping_table_that_the_fleet_names_is_there(fleet: None) -> None:
    mapped = {holder for found in gpus.NOW.values() for holder, by, _ in found if by == "mapping"}
    assert mapped <= set(GpuOwnerRule.objects.values_list("tenant__slug", flat=True))
