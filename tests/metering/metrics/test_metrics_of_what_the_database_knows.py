from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import OperationalError
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from metering import budgets, metrics
from metering.event_store import floor
from metering.ledger import ingestion, rollups
from metering.models import (
    CollectorStatus,
    DirtyHour,
    GpuDevice,
    MeteringGap,
    Notification,
    Price,
    PriceBook,
    PriceBookVersion,
    QuarantinedEvent,
    Reservation,
    StagedEvent,
    TenantPriceBook,
    UnattributedGpuTime,
    WebhookDelivery,
    WebhookEndpoint,
)
from tests.portal.web import gpu_history as history

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 7, 15, 12, 0, tzinfo=UTC)


@pytest.fixture
def scrape(cast, monkeypatch):
    """The samples of a scrape: name → labels (as a frozenset of pairs) → value. The clock stands at NOW."""
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)

    def run(registry: CollectorRegistry | None = None) -> dict[str, dict[frozenset, float]]:
        if registry is None:
            registry = CollectorRegistry()
            metrics.register(registry)
        found: dict[str, dict[frozenset, float]] = {}
        for family in text_string_to_metric_families(generate_latest(registry).decode()):
            for sample in family.samples:
                found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
        return found

    return run


def labels(**values: str) -> frozenset:
    return frozenset(values.items())


def book(tenant, kind: str, quantity: str, **dims: str) -> None:
    event = {
        "source": "/tests",
        "id": f"{kind}{quantity}{tenant.slug}",
        "type": kind,
        "time": NOW,
        "data": {"quantity": quantity, **dims},
    }
    assert ingestion.book(tenant, [event], NOW)[0].status == "accepted"
    rollups.run(NOW)


def test_cost_by_tenant_and_category(scrape, cast):
    book(cast.acme, "api_calls", "5000")
    book(cast.acme, "gpu_hours", "4", model="H100")
    found = scrape()

    for name in ("portal_cost_month_to_date_usd", "portal_cost_usd_total"):
        assert found[name][labels(tenant="acme", category="api")] == 5.0
        assert found[name][labels(tenant="acme", category="gpu")] == 10.0
        assert found[name][labels(tenant="acme", category="storage")] == 0.0
        assert found[name][labels(tenant="globex", category="api")] == 0.0
    assert found["portal_gpu_seconds_total"] == {labels(tenant="acme", model="H100"): 14_400.0}


def test_other_currencies_are_not_called_dollars(scrape, cast):
    start = datetime(2020, 1, 1, tzinfo=UTC)
    euros = PriceBook.objects.create(slug="eur", name="EUR", currency="EUR")
    version = PriceBookVersion.objects.create(book=euros, number=1, starts_at=start)
    Price.objects.create(version=version, meter="api_calls", unit_price=1)
    PriceBookVersion.objects.filter(pk=version.pk).update(published_at=start)
    TenantPriceBook.objects.create(tenant=cast.globex, book=euros, starts_at=start, reason="a test")

    assert labels(tenant="globex", category="api") not in scrape()["portal_cost_month_to_date_usd"]


def test_budgets(scrape, cast):
    budgets.set_budget(cast.acme, Decimal(20), [80], "user:alice")
    book(cast.acme, "api_calls", "5000")
    found = scrape()

    assert found["portal_budget_usd"] == {labels(tenant="acme"): 20.0}
    assert found["portal_budget_spent_ratio"] == {labels(tenant="acme"): 0.25}
    assert found["portal_platform_budget_usd"] == {labels(): 10_000.0}


def test_quotas_in_display_units(scrape, cast):
    book(cast.acme, "gpu_hours", "4")
    cast.globex.tier.quotas.filter(meter="storage_gb").update(limit=None)
    found = scrape()

    assert found["portal_quota_used"][labels(tenant="acme", resource="gpu_hours")] == 4.0
    assert found["portal_quota_limit"][labels(tenant="acme", resource="gpu_hours")] == 100.0
    assert found["portal_quota_limit"][labels(tenant="acme", resource="api_calls")] == 1_000_000.0
    assert labels(tenant="globex", resource="storage_gb") not in found["portal_quota_limit"]


def device(**values) -> GpuDevice:
    return GpuDevice.objects.create(
        **{"node": "n1", "uuid": "GPU-1", "name": "NVIDIA H100", "model": "H100", "last_seen_at": NOW} | values
    )


def test_a_gpu_and_who_holds_it(scrape):
    device(
        readings={"utilization_percent": 93, "memory_used_bytes": 10, "power_watts": 412.5, "energy_joules": 7000},
        holders=[
            {"tenant": "acme", "share": "0.7500", "by": "assignment"},
            {"tenant": None, "share": "0.2500", "by": "unattributed"},
        ],
    )
    found = scrape()
    gpu = labels(node="n1", gpu="0", UUID="GPU-1", model="H100")

    assert found["portal_gpu_up"] == {gpu: 1}
    assert found["portal_gpu_utilization_ratio"] == {gpu: 0.93}
    assert found["portal_gpu_memory_used_bytes"] == {gpu: 10}
    assert found["portal_gpu_power_watts"] == {gpu: 412.5}
    assert found["portal_gpu_energy_joules_total"] == {gpu: 7000}
    assert "portal_gpu_temperature_celsius" not in found, "what could not be read is absent, not 0"
    assert found["portal_gpu_allocation_info"] == {
        labels(tenant="acme", workload="assignment", UUID="GPU-1"): 0.75,
        labels(tenant="unattributed", workload="unattributed", UUID="GPU-1"): 0.25,
    }


@pytest.mark.parametrize("change", [{"state": "unavailable"}, {"last_seen_at": NOW - timedelta(minutes=6)}])
def test_old_readings_do_not_look_like_new_ones(scrape, change):
    device(
        readings={"utilization_percent": 93}, holders=[{"tenant": "acme", "share": "1", "by": "assignment"}], **change
    )
    found = scrape()

    assert list(found["portal_gpu_up"].values()) == [0]
    assert "portal_gpu_utilization_ratio" not in found
    assert "portal_gpu_allocation_info" not in found


def test_unattributed_time(scrape):
    gpu = device()
    for hour in (10, 11):
        UnattributedGpuTime.objects.create(
            device=gpu, hour=NOW.replace(hour=hour), seconds=Decimal("90.5"), last_seen_at=NOW
        )

    assert scrape()["portal_gpu_unattributed_seconds_total"] == {labels(node="n1", model="H100"): 181.0}


def test_collectors_gaps_and_quarantine(scrape, cast):
    CollectorStatus.objects.create(
        name="gpus", node="n1", kind="nvml", state="ok", interval_seconds=60, duration_ms=120, runs=7, failures=2,
        last_run_at=NOW - timedelta(seconds=30), last_ok_at=NOW - timedelta(seconds=30),
    )  # fmt: skip
    CollectorStatus.objects.create(
        name="old", node="n1", kind="nvml", state="ok", interval_seconds=60, last_run_at=NOW - timedelta(hours=1)
    )
    for subject in ("a", "b"):
        MeteringGap.objects.create(
            collector="gpus", node="n1", meter="gpu_hours", subject=subject, starts_at=NOW, reason="x"
        )
    MeteringGap.objects.create(collector="gpus", node="n1", meter="gpu_hours", starts_at=NOW, ends_at=NOW, reason="x")
    QuarantinedEvent.objects.create(tenant=cast.acme, source="s", event_id="e", reason="r", detail="d", payload={})
    found = scrape()
    gpus = labels(collector="gpus", node="n1", kind="nvml")

    assert found["portal_collector_up"] == {gpus: 1, labels(collector="old", node="n1", kind="nvml"): 0}
    assert found["portal_collector_runs_total"][gpus] == 7
    assert found["portal_collector_failures_total"][gpus] == 2
    assert found["portal_collector_duration_seconds"][gpus] == 0.12
    assert found["portal_collector_last_success_timestamp_seconds"] == {gpus: (NOW - timedelta(seconds=30)).timestamp()}
    assert found["portal_metering_gaps_open"] == {labels(collector="gpus", node="n1", meter="gpu_hours"): 2}
    assert found["portal_quarantined_events"] == {labels(): 1}


def test_notifications(scrape):
    for number, state in enumerate(["pending", "failed", "failed", "sent"]):
        Notification.objects.create(
            dedupe_key=f"k{number}", kind="x", recipient="a@b.example", subject="s", text="t", state=state,
            created_at=NOW - timedelta(seconds=10 * number + 5),
        )  # fmt: skip
    found = scrape()

    assert found["portal_notifications"] == {
        labels(state="pending"): 1, labels(state="sending"): 0, labels(state="sent"): 1, labels(state="failed"): 2,
    }  # fmt: skip
    assert found["portal_notification_oldest_waiting_seconds"] == {labels(): 5}


def test_the_database_away_is_said_and_nothing_else_is_claimed(scrape, monkeypatch):
    def away(_now):
        raise OperationalError("gone")

    monkeypatch.setattr(metrics, "gpus", away)

    assert scrape() == {"portal_database_metrics_up": {labels(): 0}}


def test_what_is_expensive_is_kept_for_a_while(scrape, cast, monkeypatch):
    registry = CollectorRegistry()
    metrics.register(registry)
    clock = [100.0]
    monkeypatch.setattr(metrics.time, "monotonic", lambda: clock[0])
    scrape(registry)
    book(cast.acme, "api_calls", "5000")
    api = labels(tenant="acme", category="api")
    assert scrape(registry)["portal_cost_month_to_date_usd"][api] == 0.0

    clock[0] += metrics.KEEP_SECONDS + 1
    assert scrape(registry)["portal_cost_month_to_date_usd"][api] == 5.0


def test_no_histogram_has_a_tenant_and_counters_end_in_total(scrape):
    registry = CollectorRegistry()
    metrics.register(registry)
    device(readings={"energy_joules": 1})
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        assert family.type in {"gauge", "counter"}
        assert family.name.startswith("portal_")
        assert family.documentation


def test_tenants_by_state_and_the_lag_of_the_rollups(scrape, cast):
    before = scrape()["portal_tenants"]
    cast.globex.state = "suspended"
    cast.globex.save()
    found = scrape()
    assert found["portal_tenants"][labels(state="suspended")] == before[labels(state="suspended")] + 1
    assert found["portal_rollup_lag_seconds"] == {labels(): 0}

    DirtyHour.objects.create(tenant=cast.acme, meter="api_calls", hour=NOW)
    DirtyHour.objects.update(marked_at=NOW - timedelta(seconds=90))
    assert scrape()["portal_rollup_lag_seconds"] == {labels(): 90}


def test_webhook_messages_by_state(scrape, cast):
    endpoint = WebhookEndpoint.objects.create(tenant=cast.acme, url="https://a.example/", secret="x")
    for number, state in enumerate(["pending", "failed", "delivered"]):
        WebhookDelivery.objects.create(
            tenant=cast.acme, endpoint=endpoint, message_id=str(number), event_type="x", body="{}", state=state,
            give_up_at=NOW, created_at=NOW - timedelta(seconds=30 + number),
        )  # fmt: skip
    found = scrape()
    assert found["portal_webhook_deliveries"] == {
        labels(state="pending"): 1, labels(state="sending"): 0, labels(state="delivered"): 1, labels(state="failed"): 1,
    }  # fmt: skip
    assert found["portal_webhook_oldest_waiting_seconds"] == {labels(): 30}


def reservation(tenant, state: str = "held", **values) -> Reservation:
    ended = {} if state == "held" else {"ended_at": NOW, "closed_at": NOW}
    given = {
        "gpus": 2, "gpu_model": "H100", "expected_seconds": 3600, "created_by": "test", "ttl_seconds": 900, "started_at": NOW,
        "heartbeat_at": NOW, "lapses_at": NOW, "booked_until": NOW, "estimate": 5, "currency": "USD", "price_version": "v1",
    }  # fmt: skip
    return Reservation.objects.create(tenant=tenant, state=state, **given | ended | values)


def test_reservations_that_hold_and_how_others_ended(scrape, cast):
    reservation(cast.acme)
    reservation(cast.acme, fraction=Decimal("0.5"))
    reservation(cast.globex, gpu_model="A100", gpus=8)
    for state in ("settled", "settled", "lapsed"):
        reservation(cast.acme, state)
    found = scrape()

    assert found["portal_reservations_held"] == {
        labels(tenant="acme", model="H100"): 2, labels(tenant="globex", model="A100"): 1,
    }  # fmt: skip
    assert found["portal_reserved_gpus"] == {
        labels(tenant="acme", model="H100"): 3, labels(tenant="globex", model="A100"): 8,
    }  # fmt: skip
    assert found["portal_reservations_ended_total"] == {
        labels(state="settled"): 2, labels(state="lapsed"): 1, labels(state="cancelled"): 0, labels(state="released"): 0,
    }  # fmt: skip


def test_gpus_that_lie_idle(scrape, cast):
    seen = NOW + timedelta(minutes=40)
    for index, busy in enumerate((0.0, 0.9)):
        holder = {"tenant": "acme", "share": "0.5", "by": "environment", "processes": 1}
        on = history.device(seen, index=index, holders=[holder], state="ok")
        for back in range(3):
            history.held(on, cast.acme, NOW - timedelta(hours=back), busy=busy, seconds=1800 if back else 1200)
    assert scrape()["portal_gpus_idle"] == {labels(tenant="acme"): 0.5}


def test_events_on_their_way_to_another_engine(scrape, cast, settings):
    assert "portal_event_store_waiting_events" not in scrape(), "PostgreSQL keeps them itself"
    # The front is PostgreSQL's: nothing is asked of ClickHouse, which may be what is wrong.
    settings.EVENT_STORE, settings.CLICKHOUSE_URL = "clickhouse", "http://127.0.0.1:1/nobody"
    here = labels(engine="clickhouse")
    found = scrape()
    assert found["portal_event_store_waiting_events"] == {here: 0.0}
    assert found["portal_event_store_oldest_waiting_seconds"] == {here: 0.0}
    for number in range(3):
        StagedEvent.objects.create(
            tenant_id=cast.acme.pk, source="/tests", event_id=f"e{number}", fingerprint="f" * 32, time=NOW, meter="gpu_hours",
            quantity_micro=1, dims="{}",
        )  # fmt: skip
    StagedEvent.objects.filter(event_id="e1").update(received_at=NOW - timedelta(minutes=7))
    StagedEvent.objects.exclude(event_id="e1").update(received_at=NOW - timedelta(minutes=2))
    found = scrape()
    assert found["portal_event_store_waiting_events"] == {here: 3.0}
    assert found["portal_event_store_oldest_waiting_seconds"] == {here: 420.0}


def test_months_that_cannot_go(scrape, cast):
    assert scrape()["portal_ledger_months_held_back"] == {labels(): 0.0}
    floor.hold_back({"202602": "1 invoices of its time are not issued yet", "202603": "the same"}, NOW)
    assert scrape()["portal_ledger_months_held_back"] == {labels(): 2.0}
