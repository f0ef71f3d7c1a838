from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from metering.alerts import unknown_usage
from metering.costing import costs
from metering.ledger import ingestion, rollups
from metering.models import Meter, Notification, PriceBook, QuarantinedEvent, UnknownKind, UnknownUsage, UsageEvent
from metering.prices import price_books
from metering.pricing import PriceRow
from tenants.models import Tenant
from tests.metering.events import event

NOW = datetime(2026, 7, 15, 12, 0, tzinfo=UTC)
ON = datetime(2026, 7, 10, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def operators(settings: Any) -> None:
    settings.PLATFORM_ALERT_EMAILS = ["ops@platform.example"]


@pytest.fixture
def by_model(db: None) -> PriceBook:
    """The default book prices H100, and no other model."""
    book = PriceBook.objects.get(is_default=True)
    rows = [PriceRow("gpu_hours", "per_unit", Decimal(4), {}, "model", "H100")]
    version = price_books.new_version(book, datetime(2026, 7, 1, tzinfo=UTC), rows, actor="user:olivia")
    price_books.publish(version, NOW, actor="user:olivia", reason="set-up", force=True)
    return book


def report(tenant: Tenant, id: str, type: str = "gpu_hours", now: datetime = NOW, **dims: str) -> ingestion.ItemResult:
    (result,) = ingestion.book(tenant, [event(id, ON, "2", type, **dims)], now)
    rollups.run(now)
    return result


def mails() -> list[str]:
    return list(Notification.objects.filter(kind="unknown-usage").order_by("pk").values_list("text", flat=True))


def test_a_model_without_a_price_is_held_and_told(acme: Tenant, by_model: PriceBook) -> None:
    report(acme, "1", model="H300")
    assert unknown_usage.check_all(NOW) == 1
    (value,) = UnknownUsage.objects.all()
    assert (value.kind, value.meter, value.dim_value, value.quantity) == (
        UnknownKind.NO_PRICE,
        "gpu_hours",
        "H300",
        "2 GPU hour",
    )
    (text,) = mails()
    assert "H300" in text
    assert "Acme Radiology" in text
    assert costs.month_to_date(acme, NOW).total.amount == 0
    assert costs.month_to_date(acme, NOW).quarantined


def test_once_per_value_and_day(acme: Tenant, by_model: PriceBook) -> None:
    report(acme, "1", model="H300")
    assert [unknown_usage.check_all(NOW + timedelta(minutes=10 * n)) for n in range(3)] == [1, 0, 0]
    report(acme, "2", model="H400")
    assert unknown_usage.check_all(NOW + timedelta(hours=1)) == 1
    assert "H300" not in mails()[1]
    assert unknown_usage.check_all(NOW + timedelta(days=1)) == 2


def test_a_price_resolves_it_and_bills_it(acme: Tenant, by_model: PriceBook) -> None:
    report(acme, "1", model="H300")
    unknown_usage.check_all(NOW)
    value = UnknownUsage.objects.get()
    assert not unknown_usage.covered(value, NOW)
    rows = [
        PriceRow("gpu_hours", "per_unit", Decimal(price), {}, "model", model)
        for model, price in (("H100", 4), ("H300", 6))
    ]
    version = price_books.new_version(by_model, datetime(2026, 7, 9, tzinfo=UTC), rows, actor="user:olivia")
    price_books.publish(version, NOW, actor="user:olivia", reason="the H300 had no price", force=True)
    assert unknown_usage.covered(value, NOW)
    assert unknown_usage.check_all(NOW + timedelta(minutes=10)) == 0
    value.refresh_from_db()
    assert value.resolved_at is not None
    assert costs.month_to_date(acme, NOW).total.amount == Decimal("12.00")


def test_an_event_of_an_unknown_meter_is_released_once_the_meter_is_there(acme: Tenant) -> None:
    assert report(acme, "1", "egress_gb", zone="eu").code == "unknown_meter"
    assert unknown_usage.check_all(NOW) == 1
    value = UnknownUsage.objects.get()
    assert (value.kind, value.meter, value.quantity) == (UnknownKind.EVENT_TYPE, "egress_gb", "1 events")
    waiting = QuarantinedEvent.objects.all()
    assert unknown_usage.release(waiting, NOW, actor="user:olivia", reason="too soon") == {"unknown_meter": 1}
    Meter.objects.create(
        key="egress", name="Egress", base_unit="byte", display_unit="GB", display_factor=10**9, billing_unit="GB",
        event_types={"egress_gb": 10**9},
    )  # fmt: skip
    assert unknown_usage.covered(value, NOW)
    later = NOW + timedelta(days=90)
    assert unknown_usage.release(waiting, later, actor="user:olivia", reason="the meter is there") == {"accepted": 1}
    booked = UsageEvent.objects.get()
    assert (booked.meter, booked.time, booked.quantity_micro, booked.dims) == ("egress", ON, 2 * 10**15, {"zone": "eu"})
    assert QuarantinedEvent.objects.get().resolved_at == later


@pytest.mark.parametrize(
    "changed",
    [
        {"type": "egress\u0000"},
        {"type": "x" * 201},
        {"time": "tomorrow"},
        {"source": "/portal/collectors/n/gpus"},
        {"data": {"quantity": "x"}},
    ],
)
def test_what_is_wrong_in_other_ways_is_not_kept(acme: Tenant, changed: dict[str, Any]) -> None:
    ingestion.book(acme, [event("1", ON, "2", "egress_gb") | changed], NOW)
    assert not QuarantinedEvent.objects.exists()


def test_a_flood_is_one_mail(acme: Tenant) -> None:
    ingestion.book(acme, [event(str(n), ON, "2", f"type{n}") for n in range(80)], NOW)
    assert unknown_usage.check_all(NOW) == 80
    (text,) = mails()
    assert "and 30 more" in text
