from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from metering.models import Reservation
from metering.reservations import granting
from metering.reservations.granting import Wish
from tests.portal.web.conftest import text_of
from tests.tenants.cast import Cast

Browse = Callable[[str], Client]


@pytest.fixture
def held(cast: Cast, redis_server: object) -> Reservation:
    wish = Wish(2, "H100", Decimal(1), 12 * 3600, {"user": "bob", "project": "mammo"})
    at = timezone.now() - timedelta(hours=1)
    return granting.reserve(cast.acme, wish, id=uuid.uuid4(), actor="test", now=at).reservation


def test_who_holds_what_until_when_and_at_what_cost(held: Reservation, browse: Browse) -> None:
    body = text_of(browse("alice").get("/t/acme/reservations"))
    for words in ("2 GPUs are held.", "2 × H100", "bob", "project: mammo", "$5.", "/ $60.00", "Release"):
        assert words in body, words


def test_costs_and_release_are_for_those_whose_role_allows_them(held: Reservation, browse: Browse) -> None:
    body = text_of(browse("bob").get("/t/acme/reservations"))
    assert "2 × H100" in body
    assert "$60.00" not in body
    assert "/release" not in body
    assert browse("bob").post(f"/t/acme/reservations/{held.public_id}/release").status_code == 403
    assert "/release" not in text_of(browse("carol").get("/t/acme/reservations"))
    assert Reservation.objects.get().state == "held"


def test_an_owner_releases_after_a_question(held: Reservation, browse: Browse) -> None:
    alice, url = browse("alice"), f"/t/acme/reservations/{held.public_id}/release"
    assert "Release 2 × H100?" in text_of(alice.get(url))
    assert alice.post(url).status_code == 302
    row = Reservation.objects.get()
    assert (row.state, row.changes.last().actor) == ("released", "user:alice")
    assert "Released" in text_of(alice.get("/t/acme/reservations"))
    assert alice.post(url).status_code == 404


def test_a_strangers_reservation_is_not_there(held: Reservation, browse: Browse) -> None:
    assert browse("mallory").post(f"/t/globex/reservations/{held.public_id}/release").status_code == 404
    assert browse("mallory").get("/t/acme/reservations").status_code == 404
    assert "H100" not in text_of(browse("mallory").get("/t/globex/reservations"))
