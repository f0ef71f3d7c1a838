from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from metering.gpu_use import telling
from metering.models import Notification, UnattributedGpuTime
from tests.portal.web.gpu_history import device

NOW = datetime(2026, 7, 15, 12, 30, tzinfo=UTC)
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def operators(settings):
    settings.PLATFORM_ALERT_EMAILS = ["ops@platform.example"]


def nobodys(on, at=NOW, seconds=600):
    UnattributedGpuTime.objects.create(
        device=on,
        hour=at.replace(minute=0),
        seconds=Decimal(seconds),
        last_seen_at=at,
        processes=["python (pid 7): no PORTAL_TENANT in its environment"],
    )


def test_once_per_device_and_day():
    first, second = device(NOW), device(NOW, index=1)
    nobodys(first)
    assert telling.tell_unattributed(NOW) == 1
    assert telling.tell_unattributed(NOW + timedelta(minutes=1)) == 0
    nobodys(second)
    assert telling.tell_unattributed(NOW + timedelta(hours=1)) == 1
    mails = list(Notification.objects.order_by("pk"))
    assert [("H100 0" in mail.text, "H100 1" in mail.text) for mail in mails] == [(True, False), (False, True)]
    assert "pid 7" in mails[0].text
    tomorrow = NOW + timedelta(days=1)
    nobodys(first, tomorrow)
    assert telling.tell_unattributed(tomorrow) == 1


def test_a_moment_is_no_news():
    nobodys(device(NOW), seconds=20)
    assert telling.tell_unattributed(NOW) == 0
    assert not Notification.objects.exists()
