"""Alertmanager repeats, retries and overtakes itself: an occurrence is one row, and what has ended does not begin again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from metering import monitoring
from metering.models import AlertState, MonitoringAlert
from tenants.models import Tenant
from tenants.problems import Invalid


def payload(status: str = "firing", **labels: str) -> dict[str, Any]:
    alert = {
        "status": status,
        "labels": {"alertname": "QueueDepthHigh", "severity": "warning", "team": "platform", **labels},
        "annotations": {
            "summary": "1500 tasks wait",
            "runbook_url": "https://portal.example.org/runbooks/QueueDepthHigh.md",
        },
        "startsAt": "2026-07-15T11:00:00.123Z",
        "endsAt": "2026-07-15T11:30:00Z" if status == "resolved" else "0001-01-01T00:00:00Z",
        "generatorURL": "https://portal.example.org/prometheus/graph?g0.expr=x",
        "fingerprint": "abc",
    }
    return {"version": "4", "groupKey": "{}", "status": status, "receiver": "portal", "alerts": [alert]}


def test_repeating_makes_no_second_row_and_says_when_it_was_last_heard_of(db: None, now: datetime) -> None:
    assert monitoring.book(payload(), now) == {"firing": 1, "resolved": 0}
    monitoring.book(payload(), now + timedelta(minutes=15))
    row = MonitoringAlert.objects.get()
    assert (row.state, row.name, row.summary) == (AlertState.FIRING, "QueueDepthHigh", "1500 tasks wait")
    assert row.last_seen_at == now + timedelta(minutes=15)
    assert not monitoring.is_stale(row, now + timedelta(minutes=30))
    assert monitoring.is_stale(row, now + timedelta(hours=2))


def test_a_late_firing_does_not_open_what_has_ended(db: None, now: datetime) -> None:
    for status in ("firing", "resolved", "firing"):
        monitoring.book(payload(status), now)
    row = MonitoringAlert.objects.get()
    assert row.state == AlertState.RESOLVED
    assert row.ends_at is not None
    assert row.ends_at.isoformat() == "2026-07-15T11:30:00+00:00"


def test_ended_before_it_was_heard_of(db: None, now: datetime) -> None:
    monitoring.book(payload("resolved"), now)
    assert MonitoringAlert.objects.get().state == AlertState.RESOLVED


def test_other_labels_are_another_alert(db: None, now: datetime) -> None:
    monitoring.book(payload(queue_name="a"), now)
    monitoring.book(payload(queue_name="b"), now)
    assert MonitoringAlert.objects.count() == 2


def test_the_same_alert_twice_in_one_call_is_one(db: None, now: datetime) -> None:
    twice = payload()
    twice["alerts"] *= 2
    assert monitoring.book(twice, now) == {"firing": 1, "resolved": 0}


def test_a_link_that_is_none_is_left_out(db: None, now: datetime) -> None:
    bad = payload()
    bad["alerts"][0]["annotations"]["runbook_url"] = "javascript:alert(1)"
    bad["alerts"][0]["generatorURL"] = "//evil.example/x"
    monitoring.book(bad, now)
    row = MonitoringAlert.objects.get()
    assert (row.runbook_url, row.source_url) == ("", "")


def test_only_its_own_tenant_reads_what_is_meant_for_it(acme: Tenant, globex: Tenant, now: datetime) -> None:
    monitoring.book(payload(tenant="acme", audience="tenant"), now)
    monitoring.book(payload(tenant="acme", audience="tenant", about="costs"), now)
    monitoring.book(payload(tenant="acme"), now)
    monitoring.book(payload(tenant="nobody", audience="tenant"), now)
    assert len(monitoring.of_tenant(acme, now, with_costs=True)) == 2
    assert len(monitoring.of_tenant(acme, now, with_costs=False)) == 1
    assert monitoring.of_tenant(globex, now, with_costs=True) == []
    assert MonitoringAlert.objects.filter(tenant=None).count() == 1


def test_long_ended_ones_are_forgotten(db: None, now: datetime) -> None:
    monitoring.book(payload("resolved"), now)
    assert not monitoring.old(now).exists()
    assert monitoring.old(now + timedelta(days=200)).count() == 1


@pytest.mark.parametrize(
    "broken",
    [
        None, [], {}, {"version": "3", "alerts": []}, {"version": "4"}, {"version": "4", "alerts": {}},
        {"version": "4", "alerts": [1]}, {"version": "4", "alerts": [{}]}, {"version": "4", "alerts": [payload()["alerts"][0]] * 1001},
        {"version": "4", "alerts": [payload()["alerts"][0] | {"status": "odd"}]},
        {"version": "4", "alerts": [payload()["alerts"][0] | {"startsAt": "2026-07-15T11:00:00"}]},
        {"version": "4", "alerts": [payload()["alerts"][0] | {"startsAt": 5}]},
        {"version": "4", "alerts": [payload()["alerts"][0] | {"startsAt": "0001-01-01T00:00:00+23:59"}]},
        {"version": "4", "alerts": [payload()["alerts"][0] | {"labels": {"alertname": 1}}]},
        {"version": "4", "alerts": [payload()["alerts"][0] | {"labels": {"severity": "warning"}}]},
    ],
)  # fmt: skip
def test_what_is_no_payload_is_refused_whole(db: None, now: datetime, broken: Any) -> None:
    with pytest.raises(Invalid):
        monitoring.book(broken, now)
    assert not MonitoringAlert.objects.exists()
