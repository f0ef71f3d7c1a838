"""A tenant reads its own alerts on the overview, those about costs only with a role that sees costs, and never another's."""

from __future__ import annotations

from collections.abc import Callable

from django.test import Client
from django.utils import timezone

from metering import monitoring
from tests.metering.monitoring.test_alerts_are_booked_once_and_stay_ended import payload


def _report(**labels: str) -> None:
    sent = payload(audience="tenant", **labels)
    sent["alerts"][0]["startsAt"] = timezone.now().isoformat()
    sent["alerts"][0]["annotations"] = {
        "summary": "acme is odd",
        "tenant_summary": f"Noticed {labels.get('about', 'traffic')}",
    }
    monitoring.book(sent, timezone.now())


def test_own_alerts_by_role(browse: Callable[[str], Client]) -> None:
    _report(tenant="acme")
    _report(tenant="acme", about="costs")
    owner, member = (browse(who).get("/t/acme/").content.decode() for who in ("alice", "bob"))
    assert "Noticed traffic" in owner
    assert "Noticed costs" in owner
    assert "Noticed traffic" in member
    assert "Noticed costs" not in member
    assert "Noticed" not in browse("mallory").get("/t/globex/").content.decode()


def test_the_notification_centre_tells_the_same(browse: Callable[[str], Client]) -> None:
    _report(tenant="acme")
    _report(tenant="acme", about="costs")
    owner, member = (browse(who).get("/t/acme/notifications").content.decode() for who in ("alice", "bob"))
    assert "Noticed traffic" in owner
    assert "Noticed costs" in owner
    assert "Noticed traffic" in member
    assert "Noticed costs" not in member
    assert "Noticed" not in browse("mallory").get("/t/globex/notifications").content.decode()
