from __future__ import annotations

import uuid
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from metering.models import Reservation
from metering.reservations import granting
from metering.reservations.granting import Wish
from tests.tenants.cast import Cast

from .conftest import Browse

LIST = "admin:metering_reservation_changelist"


@pytest.fixture
def held(cast: Cast, redis_server: object) -> Reservation:
    wish = Wish(2, "H100", Decimal(1), 3600, {})
    return granting.reserve(cast.acme, wish, id=uuid.uuid4(), actor="test", now=timezone.now()).reservation


def test_release_asks_why_and_keeps_the_reason(held: Reservation, browse: Browse) -> None:
    olivia = browse("olivia")
    assert "2 × H100" in olivia.get(reverse(LIST)).content.decode()
    asked = {"action": "release_selected", "_selected_action": [held.pk]}
    assert "Release reservations" in olivia.post(reverse(LIST), asked).content.decode()
    assert Reservation.objects.get().state == "held"
    olivia.post(reverse(LIST), asked | {"confirmed": "1", "reason": "Maintenance"})
    row = Reservation.objects.get()
    assert (row.state, row.changes.last().detail["reason"]) == ("released", "Maintenance")
    page = olivia.get(reverse("admin:metering_reservation_change", args=[row.pk]))
    assert "Maintenance" in page.content.decode()


def test_support_looks_only(held: Reservation, browse: Browse) -> None:
    sam = browse("sam")
    assert sam.get(reverse(LIST)).status_code == 200
    sam.post(
        reverse(LIST), {"action": "release_selected", "_selected_action": [held.pk], "confirmed": "1", "reason": "x"}
    )
    assert Reservation.objects.get().state == "held"
