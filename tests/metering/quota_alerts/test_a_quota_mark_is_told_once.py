from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connections

from metering.alerts import quota_alerts
from metering.ledger import ingestion, rollups
from metering.models import Notification, QuotaAlert
from tenants.limiting import overrides
from tenants.models import Tenant, Tier, TierQuota
from tenants.periods import period_at

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 7, 15, 12, 0, tzinfo=UTC)


@pytest.fixture
def use(cast):
    """Book GPU hours (or another event type) of acme's, and roll them up. acme's quota is 100 GPU hours."""
    count = iter(range(1000))

    def book(amount: str, kind: str = "gpu_hours", tenant: Tenant | None = None, at: datetime = NOW) -> None:
        event = {
            "specversion": "1.0",
            "source": "/tests",
            "id": f"e{next(count)}",
            "type": kind,
            "time": at,
            "data": {"quantity": amount},
        }
        (result,) = ingestion.book(tenant or cast.acme, [event], at)
        assert result.status == "accepted", result
        rollups.run(at)

    return book


def alerts() -> list[tuple[str, int]]:
    return list(QuotaAlert.objects.order_by("pk").values_list("meter", "percent"))


def mailed() -> set[str]:
    return set(Notification.objects.values_list("recipient", flat=True))


def test_below_the_mark_nothing_is_said(use):
    use("79.9")

    assert quota_alerts.check_all(NOW) == 0
    assert mailed() == set()


def test_the_mark_itself_counts(use):
    use("80")

    assert quota_alerts.check_all(NOW) == 1
    assert alerts() == [("gpu_hours", 80)]


def test_owners_and_admins_are_told_and_nobody_else(use, cast):
    Tenant.objects.filter(pk=cast.acme.pk).update(contact_email="office@acme.example")
    use("85")
    quota_alerts.check_all(NOW)

    assert mailed() == {"alice@acme.example", "ada@acme.example", "office@acme.example"}
    mail = Notification.objects.first()
    assert mail is not None
    assert mail.subject == "Acme Radiology: 85% of the GPU hours quota is used"
    assert "85 GPU hours of 100 GPU hours (85%) in July 2026" in mail.text
    assert "Aug 1, 2026, 00:00 CEST" in mail.text


def test_once_however_often_it_is_looked_at(use):
    use("85")
    for _ in range(3):
        quota_alerts.check_all(NOW)
    use("5")
    quota_alerts.check_all(NOW)

    assert alerts() == [("gpu_hours", 80)]
    assert Notification.objects.count() == 2


def test_the_second_mark_is_told_too(use):
    use("85")
    quota_alerts.check_all(NOW)
    use("15")
    quota_alerts.check_all(NOW)

    assert alerts() == [("gpu_hours", 80), ("gpu_hours", 100)]
    assert Notification.objects.filter(subject="Acme Radiology: GPU hours quota used up").count() == 2


def test_both_at_once_are_written_down_and_the_higher_is_told(use):
    use("130")

    assert quota_alerts.check_all(NOW) == 2
    assert alerts() == [("gpu_hours", 80), ("gpu_hours", 100)]
    assert set(Notification.objects.values_list("subject", flat=True)) == {"Acme Radiology: GPU hours quota used up"}


def test_every_meter_for_itself(use):
    use("85")
    use("900", "storage_gb")
    quota_alerts.check_all(NOW)

    assert sorted(alerts()) == [("gpu_hours", 80), ("storage_gb", 80)]
    assert Notification.objects.filter(text__contains="stores 900 GB; the quota is 1,000 GB (90%)").count() == 2


def test_a_new_period_is_told_anew(use, cast):
    use("85")
    quota_alerts.check_all(NOW)
    august = period_at(cast.acme, NOW).ends_at + timedelta(hours=1)
    quota_alerts.check_all(august)
    assert len(alerts()) == 1

    use("85", at=august)
    quota_alerts.check_all(august)
    assert list(QuotaAlert.objects.order_by("pk").values_list("period_key", flat=True)) == ["2026-07", "2026-08"]


def set_quota(tenant: Tenant, limit: Decimal | None) -> None:
    overrides.set_limit(tenant, "quota", "gpu_hours", limit, reason="a test", actor="user:olivia")


def test_a_raised_limit_re_arms_what_is_below_it_again(use, cast, monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
    use("85")
    quota_alerts.check_all(NOW)
    set_quota(cast.acme, Decimal(200))
    quota_alerts.check_all(NOW)
    assert QuotaAlert.objects.get().cleared_at == NOW

    use("80")
    quota_alerts.check_all(NOW)
    assert QuotaAlert.objects.filter(cleared_at=None).values_list("percent", "limit").get() == (80, Decimal(200))
    assert Notification.objects.count() == 4


def test_a_raised_limit_that_is_still_nearly_used_is_not_told_again(use, cast, monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
    use("99")
    quota_alerts.check_all(NOW)
    set_quota(cast.acme, Decimal(110))
    quota_alerts.check_all(NOW)

    assert alerts() == [("gpu_hours", 80)]
    assert Notification.objects.count() == 2


@pytest.mark.parametrize("limit", [None, Decimal(0)])
def test_without_a_finite_quota_nothing_is_said(use, cast, limit):
    TierQuota.objects.filter(tier=cast.acme.tier, meter="gpu_hours").update(limit=limit)
    use("500")

    assert quota_alerts.check_all(NOW) == 0


def test_a_limit_on_trial_is_not_told(use, cast):
    TierQuota.objects.filter(tier=cast.acme.tier, meter="gpu_hours").update(shadow=True)
    use("500")

    assert quota_alerts.check_all(NOW) == 0


def test_a_closed_tenant_is_left_alone(use, cast):
    use("500")
    Tenant.objects.filter(pk=cast.acme.pk).update(state="closed")

    assert quota_alerts.check_all(NOW) == 0


def test_globex_hears_nothing_of_acme(use):
    use("500")
    quota_alerts.check_all(NOW)

    assert "mallory@globex.example" not in mailed()


@pytest.mark.django_db(transaction=True)
def test_two_checks_at_once_tell_it_once(use):
    use("130")
    start, found = threading.Barrier(4), []

    def check() -> None:
        start.wait()
        try:
            found.append(quota_alerts.check_all(NOW))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=check) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sum(found) == 2
    assert len(found) == 4
    assert Notification.objects.count() == 2


def test_many_tenants_cost_few_queries(cast, django_assert_max_num_queries):
    tier = Tier.objects.get(slug="standard")
    tenants = Tenant.objects.bulk_create(
        [Tenant(slug=f"t{number}", name=f"T{number}", tier=tier) for number in range(60)]
    )
    for tenant in [*tenants, cast.acme, cast.globex]:
        period_at(tenant, NOW)

    with django_assert_max_num_queries(12):
        quota_alerts.check_all(NOW)
