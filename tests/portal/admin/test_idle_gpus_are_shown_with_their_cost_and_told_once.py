"""Operators see who holds what, what lies idle and what it costs; a tenant is told once per device and day."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from metering.models import CollectorStatus, GpuDevice, GpuHolderHour, Notification
from tenants.models import Tenant
from tenants.periods import period_at
from tests.portal.web.gpu_history import device, did, held, hour_of, hours_ago
from tests.tenants.cast import Cast

from .conftest import Browse

FLEET, IDLE = reverse("admin:metering_gpudevice_fleet"), reverse("admin:metering_gpudevice_idle")


def holder(tenant: str | None, share: str = "1.0000", by: str = "environment") -> dict[str, object]:
    return {"tenant": tenant, "share": share, "by": by, "processes": 1}


@pytest.fixture
def idle_device(cast: Cast) -> GpuDevice:
    now = timezone.now()
    on = device(now, holders=[holder("acme")], readings={"utilization_percent": 0, "power_watts": 90})
    for back in (5, 4, 3, 2, 1):
        held(on, cast.acme, hours_ago(now, back), busy=0.9 if back == 5 else 0.0)
        did(on, hours_ago(now, back), busy=0.9 if back == 5 else 0.0)
    held(on, cast.acme, now, busy=0.0, seconds=max(1.0, (now - hour_of(now)).total_seconds()))
    return on


def text(answer) -> str:
    return " ".join(answer.content.decode().split())


def test_the_fleet_shows_holders_unattributed_free_and_what_is_not_known(
    idle_device: GpuDevice, browse: Browse
) -> None:
    now = timezone.now()
    device(now, index=1, holders=[holder(None, "0.5000", "unattributed"), holder("globex", "0.2500", "assignment")])
    device(now - timedelta(hours=2), index=2, node="gpu-09", holders=[holder("globex")])
    CollectorStatus.objects.create(
        name="gpus", node="gpu-09", kind="nvml", state="ok", last_run_at=now - timedelta(hours=2), interval_seconds=60
    )
    body = text(browse("root").get(FLEET))
    for words in (
        "acme",
        "unattributed",
        "50%",
        "25% <span",
        "free",
        "90 W",
        "no data since",
        "Silent",
        "pa-heat-9",
        "not known",
    ):
        assert words in body, words
    assert "1 without data" in body
    rows = browse("root").get(f"{FLEET}?format=csv").content.decode("utf-8-sig").splitlines()
    stale = next(row for row in rows if row.startswith("gpu-09"))
    assert "globex" not in stale  # who held it then is not who holds it now


def test_an_idle_gpu_its_length_and_cost(idle_device: GpuDevice, browse: Browse) -> None:
    body = text(browse("root").get(IDLE))
    assert "H100 0" in body
    month = period_at(Tenant.objects.get(slug="acme"), timezone.now()).starts_at
    rows = GpuHolderHour.objects.filter(hour__gte=month)
    cost = round(Decimal(str(sum(row.idle_seconds for row in rows))) / 3600 * Decimal("2.5"), 2)
    assert f"${cost}" in body
    assert "Notify" in body
    assert "H100 0" not in text(browse("root").get(f"{IDLE}?minutes=1440")).split("This month by tenant")[0]


def test_a_gpu_that_nobody_looks_at_is_not_called_idle(idle_device: GpuDevice, browse: Browse) -> None:
    GpuDevice.objects.update(last_seen_at=timezone.now() - timedelta(hours=1))
    body = text(browse("root").get(IDLE))
    assert "No watched GPU has been held and unused" in body
    assert "1 device without data is not among them" in body


def test_a_tenant_is_told_once_per_device_and_day(idle_device: GpuDevice, browse: Browse) -> None:
    url = reverse("admin:metering_gpudevice_notify", args=[idle_device.pk, "acme"])
    root = browse("root")
    assert "Tell acme about an idle GPU" in text(root.get(url))
    for _ in range(2):
        assert root.post(url, {"reason": "waste", "confirmed": "1"}).status_code == 302
    mails = Notification.objects.filter(kind="gpu-idle")
    assert mails.count() == len(set(mails.values_list("recipient", flat=True))) > 0
    assert "$2.50 an hour" in mails.first().text
    assert "told today" in text(root.get(IDLE))


def test_support_looks_and_tells_nobody(idle_device: GpuDevice, browse: Browse) -> None:
    sam = browse("sam")
    assert sam.get(FLEET).status_code == 200
    assert "Notify" not in text(sam.get(IDLE))
    url = reverse("admin:metering_gpudevice_notify", args=[idle_device.pk, "acme"])
    assert sam.post(url, {"reason": "x", "confirmed": "1"}).status_code == 403
    assert not Notification.objects.exists()


def test_a_mig_instance_costs_its_part(cast: Cast, browse: Browse) -> None:
    now = timezone.now()
    on = device(now, fraction=Decimal("0.142857"), parent_uuid="GPU-x", holders=[holder("acme")])
    held(on, cast.acme, now, busy=0.0, seconds=3600 / 7)
    assert "$0.36" in text(browse("root").get(IDLE))  # 1 h × 1/7 × $2.50
