from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from metering.finance import movers
from metering.models import DirtyHour, UsageRollup
from tenants.credentials import apikeys
from tests.portal.web.conftest import Cast, text_of


def use(cast: Cast, days: int, hours: int, model: str) -> None:
    hour = timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(days=days)
    UsageRollup.objects.create(
        tenant=cast.acme, meter="gpu_hours", hour=hour, dims_key=f"{days}{model}", dims={"model": model, "user": "bob"},
        quantity_micro=hours * 3600 * 10**6, events=1, updated_at=hour,
    )  # fmt: skip


def test_movers_are_the_last_seven_whole_days_beside_the_seven_before(
    cast: Cast, browse: Callable[[str], Client]
) -> None:
    for days, hours, model in ((0, 50, "H100"), (2, 8, "H100"), (9, 4, "H100"), (9, 2, "L4"), (16, 90, "L4")):
        use(cast, days, hours, model)
    found = movers.week(cast.acme, timezone.now())
    assert found is not None
    assert (found.now, found.before) == (Decimal("20.00"), Decimal("15.00")), "today and older days are left out"
    assert [(each.kind, each.name, each.change) for each in found.movers] == [
        ("meter", "gpu_hours", Decimal(5)), ("model", "H100", Decimal(10)), ("model", "L4", Decimal(-5)), ("user", "bob", Decimal(5)),
    ]  # fmt: skip
    alice, bob = browse("alice"), browse("bob")
    assert "What changed since last week" not in text_of(alice.get("/t/acme/")), "it comes with the charts"
    for headers in ({}, {"HX-Request": "true"}):
        body = text_of(alice.get("/t/acme/?part=charts", headers=headers))
        assert "+$10.00" in body
        assert "−$5.00" in body
        assert "What changed since last week" not in text_of(bob.get("/t/acme/?part=charts", headers=headers)), (
            "members see no costs"
        )


def test_without_usage_nothing_has_changed(cast: Cast) -> None:
    assert movers.week(cast.acme, timezone.now()) is None


def test_first_steps_show_what_is_left_with_the_tenants_own_prefix(cast: Cast, browse: Callable[[str], Client]) -> None:
    alice = browse("alice")
    body = text_of(alice.get("/t/acme/"))
    assert "First steps" in body
    assert "_acme_…" in body
    assert "Create key" in body
    apikeys.create(cast.acme, name="Nightly", scopes=["decide"], by=None, actor="test")
    assert "Create key" not in text_of(alice.get("/t/acme/"))
    for other in ("bob", "carol", "victor"):
        assert "First steps" not in text_of(browse(other).get("/t/acme/"))


def test_who_hides_them_does_not_see_them_again_and_others_do(cast: Cast, browse: Callable[[str], Client]) -> None:
    alice = browse("alice")
    for _ in range(2):
        assert alice.post("/t/acme/first-steps/hide").status_code == 302
    assert "First steps" not in text_of(alice.get("/t/acme/"))
    assert "First steps" in text_of(browse("ada").get("/t/acme/"))


@pytest.mark.parametrize("is_rolled_up", [False, True])
def test_the_first_event_is_known_while_clickhouse_is_away(
    cast: Cast, browse: Callable[[str], Client], settings: Any, is_rolled_up: bool
) -> None:
    settings.EVENT_STORE, settings.CLICKHOUSE_URL = "clickhouse", "http://127.0.0.1:1/nobody"
    now, left = timezone.now(), 'Send the first usage event<span class="sr-only"> (To do)'
    DirtyHour.objects.create(tenant=cast.acme, meter="api_calls", hour=now, marked_at=now)
    assert left in text_of(browse("alice").get("/t/acme/")), "a call is no event"
    if is_rolled_up:
        use(cast, 0, 1, "H100")
    else:
        DirtyHour.objects.create(tenant=cast.acme, meter="gpu_hours", hour=now, marked_at=now)
    body = text_of(browse("alice").get("/t/acme/"))
    assert "Send the first usage event" in body
    assert left not in body
