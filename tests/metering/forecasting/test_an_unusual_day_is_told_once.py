from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.contrib.admin import site

from metering.admin.webhook import SpendAnomalyAdmin
from metering.alerts import anomalies
from metering.api.anomalies import AnomalySerializer
from metering.ledger import ingestion, rollups
from metering.models import (
    JobRun,
    Notification,
    Price,
    PriceBook,
    PriceBookVersion,
    SpendAnomaly,
    TenantPriceBook,
    WebhookDelivery,
)
from metering.webhooks import endpoints
from portal.web.money import budget_page
from tenants.models import Tenant

DAY = date(2026, 7, 14)
NOW = datetime(2026, 7, 15, 12, 0, tzinfo=UTC)


@pytest.fixture
def history(acme: Tenant):
    """history(5000): 40 days of about 1,000 to 1,006 calls ($1), the last one with 5,000."""
    Tenant.objects.filter(pk=acme.pk).update(contact_email="ops@acme.example")
    acme.refresh_from_db()

    def book(last: int) -> None:
        for back in range(40, -1, -1):
            at = datetime(2026, 7, 14, 10, tzinfo=UTC) - timedelta(days=back)
            event = {
                "specversion": "1.0", "source": "/tests", "id": f"d{back}", "type": "api_calls", "time": at,
                "data": {"quantity": last if back == 0 else 100_000 + back % 7 * 100},
            }  # fmt: skip
            (result,) = ingestion.book(acme, [event], at)
            assert result.status == "accepted", result
        rollups.run(NOW)

    return book


def test_a_day_of_five_times_the_usual_is_kept_mailed_and_sent(acme, history) -> None:
    endpoints.create(acme, "https://hooks.acme.example/in", ["anomaly.detected"], "", "user:alice")
    history(500_000)

    assert anomalies.find_all(NOW) == 1
    row = SpendAnomaly.objects.get()
    assert (row.day, row.direction, row.cost, row.currency, row.meter) == (
        DAY,
        "high",
        Decimal(500),
        "USD",
        "api_calls",
    )
    assert row.low <= row.expected <= row.high < row.cost
    mail = Notification.objects.get()
    assert mail.subject == "Acme Radiology: July 14 cost more than usual, $500.00"
    assert "at most one day in 100 is called unusual by mistake" in mail.text
    message = json.loads(WebhookDelivery.objects.get().body)
    assert (message["type"], message["data"]["day"], message["data"]["cost"]) == (
        "anomaly.detected",
        "2026-07-14",
        "500.00",
    )


def test_it_is_told_once_whatever_runs_twice(acme, history) -> None:
    history(500_000)
    for _ in range(3):
        anomalies.find_all(NOW)

    assert (SpendAnomaly.objects.count(), Notification.objects.count()) == (1, 1)
    assert JobRun.objects.filter(task="spend anomaly", state="done").count() == 1


@pytest.mark.parametrize(("last", "direction"), [(100_250, None), (0, "low")])
def test_an_ordinary_day_is_no_news_and_a_silent_one_is(acme, history, last, direction) -> None:
    history(last)
    anomalies.find_all(NOW)

    assert [row.direction for row in SpendAnomaly.objects.all()] == ([direction] if direction else [])


def test_a_new_tenant_has_no_usual_yet(acme) -> None:
    assert anomalies.find_all(NOW) == 0
    assert not SpendAnomaly.objects.exists()


def test_a_day_is_judged_when_late_events_had_time(acme, history) -> None:
    history(500_000)

    assert anomalies.find_all(datetime(2026, 7, 15, 5, 59, tzinfo=UTC)) == 0
    assert anomalies.find_all(datetime(2026, 7, 15, 6, 0, tzinfo=UTC)) == 1


@pytest.mark.parametrize(
    ("currency", "cost", "said", "in_admin"),
    [
        ("KWD", "500.003", "KWD\xa0500.003", "500.003 KWD"),
        ("JPY", "500", "¥500", "500 JPY"),
        ("USD", "500.00", "$500.00", "500.00 USD"),
    ],
)
def test_amounts_have_the_digits_of_their_currency(
    acme, history, currency: str, cost: str, said: str, in_admin: str
) -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    book = PriceBook.objects.create(slug=currency.lower(), name=currency, currency=currency)
    version = PriceBookVersion.objects.create(book=book, number=1, starts_at=start)
    Price.objects.create(version=version, meter="api_calls", unit_price=Decimal("0.001"))
    version.published_at = start
    version.save()
    TenantPriceBook.objects.create(tenant=acme, book=book, starts_at=start, reason="a test")
    endpoints.create(acme, "https://hooks.acme.example/in", ["anomaly.detected"], "", "user:alice")
    history(500_003)
    assert anomalies.find_all(NOW) == 1

    row = SpendAnomaly.objects.get()
    assert (row.cost, row.currency, str(row)) == (
        Decimal(cost),
        currency,
        f"{acme.pk}: {cost} {currency} on 2026-07-14",
    )
    sent = json.loads(WebhookDelivery.objects.get().body)["data"]
    assert sent["cost"] == cost
    digits = len(cost.partition(".")[2])
    assert {len(sent[name].partition(".")[2]) for name in ("expected", "low", "high")} == {digits}
    assert said.replace("\xa0", "") in Notification.objects.get().subject.replace("\xa0", "")
    shown = SpendAnomalyAdmin(SpendAnomaly, site)
    assert shown.cost_in_words(row) == in_admin
    assert {len(each.partition(" ")[0].partition(".")[2]) for each in shown.usual(row).split(" – ")} == {digits}
    (on_the_page,) = budget_page._anomalies(SimpleNamespace(tenant=acme), {})
    assert on_the_page["cost"].replace("\xa0", "") == said.replace("\xa0", "")
    assert AnomalySerializer(row).data["cost"] == cost
