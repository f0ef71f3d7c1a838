"""Operators take an alert with their name and words; support looks; tenants never see this list."""

from __future__ import annotations

from django.urls import reverse
from django.utils import timezone

from metering import monitoring
from metering.models import MonitoringAlert
from tests.metering.monitoring.test_alerts_are_booked_once_and_stay_ended import payload

from .conftest import Browse, text_of

LIST = "admin:metering_monitoringalert_changelist"


def _send(browse: Browse, who: str, row: MonitoringAlert) -> None:
    browse(who).post(
        reverse(LIST),
        {
            "action": "acknowledge_selected",
            "_selected_action": [row.pk],
            "confirmed": "yes",
            "reason": "I look into it",
        },
    )


def test_the_list_says_what_fires_and_the_page_what_to_do(browse: Browse) -> None:
    monitoring.book(payload(), timezone.now())
    row = MonitoringAlert.objects.get()
    assert "1500 tasks wait" in text_of(browse("olivia").get(reverse(LIST)))
    page = text_of(browse("olivia").get(reverse("admin:metering_monitoringalert_change", args=[row.pk])))
    assert "https://portal.example.org/runbooks/QueueDepthHigh.md" in page


def test_an_operator_takes_it(browse: Browse) -> None:
    monitoring.book(payload(), timezone.now())
    _send(browse, "olivia", MonitoringAlert.objects.get())
    row = MonitoringAlert.objects.get()
    assert row.acknowledged_by is not None
    assert (row.acknowledged_by.username, row.acknowledgement) == ("olivia", "I look into it")
    monitoring.book(payload(), timezone.now())
    assert MonitoringAlert.objects.get().acknowledgement == "I look into it"


def test_support_looks_only(browse: Browse) -> None:
    monitoring.book(payload(), timezone.now())
    _send(browse, "sam", MonitoringAlert.objects.get())
    assert MonitoringAlert.objects.get().acknowledged_at is None
