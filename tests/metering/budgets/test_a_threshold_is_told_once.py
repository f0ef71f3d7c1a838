from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connections

from metering import budgets
from metering.budgets import alerts as budget_alerts
from metering.budgets import telling
from metering.models import BudgetAlert, Notification
from tenants.periods import period_at
from tests.metering.budgets.conftest import NOW, alerts, mailed, subjects

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


def check(minutes: int = 0) -> int:
    return budgets.check_all(NOW + minutes * MINUTE)


def test_below_it_nothing_is_said(spend, budget):
    spend("79.99")

    assert check() == 0
    assert (alerts(), mailed()) == ([], set())


def test_reaching_it_to_the_cent_counts(spend, budget):
    spend("80.00")

    assert check() == 1
    assert alerts() == [80]
    assert subjects() == ["Acme Radiology: 80% of the monthly budget is spent"]


def test_owners_admins_and_billing_are_told(spend, budget, cast):
    cast.acme.contact_email = "office@acme.example"
    cast.acme.save()
    spend("80.00")
    check()

    assert mailed() == {"alice@acme.example", "ada@acme.example", "carol@acme.example", "office@acme.example"}


def test_a_threshold_with_recipients_of_its_own_tells_them_alone(spend, cast):
    budgets.set_budget(cast.acme, Decimal(100), [80, 100], "user:alice", recipients=["cfo@acme.example"])
    spend("80.00")
    check()

    assert mailed() == {"cfo@acme.example"}
    assert "your address is listed for this threshold" in Notification.objects.get().text


def test_once_however_often_it_is_looked_at(spend, budget):
    spend("85.00")
    for minute in range(4):
        check(minute)
    spend("1.00")
    check(5)

    assert alerts() == [80]
    assert len(subjects()) == 1


def test_each_threshold_for_itself(spend, budget):
    for minute, amount in enumerate(["80.00", "10.00", "10.00", "25.00"]):
        spend(amount)
        check(minute)

    assert alerts() == [80, 90, 100]
    assert subjects() == [
        "Acme Radiology: 80% of the monthly budget is spent",
        "Acme Radiology: 90% of the monthly budget is spent",
        "Acme Radiology: Monthly budget used up, $100.00 of $100.00",
    ]


def test_several_at_once_are_all_written_down_and_the_highest_is_told(spend, budget):
    spend("123.45")

    assert check() == 3
    assert alerts() == [80, 90, 100]
    assert subjects() == ["Acme Radiology: Monthly budget exceeded, $123.45 of $100.00"]


def test_what_is_written_down(spend, budget):
    spend("85.00")
    check()
    alert = BudgetAlert.objects.get(tenant__isnull=False)

    assert (alert.period_key, alert.percent, alert.cost, alert.amount, alert.currency) == (
        "2026-07",
        80,
        Decimal("85.00"),
        Decimal(100),
        "USD",
    )
    assert alert.crossed_at == NOW


def test_the_mail_says_where_it_went(spend, budget):
    spend("85.00")
    check()
    text = Notification.objects.first().text

    assert "Acme Radiology has spent $85.00 of $100.00 (85%) in July 2026." in text
    assert "- API calls, 85,000 calls: $85.00" in text
    assert "Left: $15.00" in text
    assert "Measured Jul 15, 2026, 14:00 CEST; the month is that of Europe/Zurich." in text
    assert "/t/acme/budget" in text


def test_a_new_month_is_told_anew(spend, budget, cast):
    spend("85.00")
    check()
    august = period_at(cast.acme, NOW).ends_at + timedelta(hours=1)
    budgets.check_all(august)
    assert alerts() == [80]

    spend("85.00", at=august)
    budgets.check_all(august + MINUTE)
    assert list(BudgetAlert.objects.order_by("pk").values_list("period_key", flat=True)) == ["2026-07", "2026-08"]
    assert len(subjects()) == 2


def test_a_threshold_that_is_added_below_one_that_was_told_is_not_told(spend, budget, cast):
    spend("85.00")
    check()
    budgets.set_budget(cast.acme, Decimal(100), [50, 80, 90], "user:alice")
    check(1)

    assert sorted(alerts()) == [50, 80]
    assert len(subjects()) == 1


def test_a_lowered_budget_is_told(spend, budget, cast):
    spend("60.00")
    check()
    budgets.set_budget(cast.acme, Decimal(65), [80, 90, 100], "user:alice")
    check(1)

    assert alerts() == [80, 90]
    assert subjects() == ["Acme Radiology: 92% of the monthly budget is spent"]


def test_a_muted_budget_writes_down_and_says_nothing(spend, budget):
    budget.muted_until = NOW + timedelta(days=1)
    budget.save()
    spend("85.00")
    check()

    assert (alerts(), mailed()) == ([80], set())


def test_an_inactive_budget_is_not_looked_at(spend, budget):
    budget.is_active = False
    budget.save()
    spend("85.00")

    assert check() == 0


def test_a_closed_tenant_is_left_alone(spend, budget, cast):
    spend("85.00")
    cast.acme.state = "closed"
    cast.acme.save()

    assert check() == 0


def test_a_suspended_tenant_is_told(spend, budget, cast):
    spend("85.00")
    cast.acme.state = "suspended"
    cast.acme.save()

    assert check() == 1


def test_what_globex_spends_is_not_acmes(spend, budget, cast):
    spend("500.00", cast.globex)

    assert check() == 0


def test_nobody_to_tell_is_no_reason_to_fail(spend, budget, cast):
    for person in cast.people.values():
        person.email = ""
        person.save()
    spend("85.00")

    assert check() == 1
    assert mailed() == set()


def test_mail_and_alert_are_kept_together_or_not_at_all(spend, budget, monkeypatch):
    def broken(*_arguments, **_options):
        raise RuntimeError("killed")

    spend("85.00")
    real = telling.notifications.owe
    monkeypatch.setattr(telling.notifications, "owe", broken)
    with pytest.raises(budgets.CheckError, match="1 of 2 budgets"):
        check()
    assert alerts() == []

    monkeypatch.setattr(telling.notifications, "owe", real)
    check(1)
    assert (alerts(), len(subjects())) == ([80], 1)


def test_one_that_cannot_be_checked_does_not_hold_up_the_others(spend, budget, cast, monkeypatch):
    budgets.set_budget(cast.globex, Decimal(100), [80], "user:mallory")
    spend("85.00")
    spend("85.00", cast.globex)
    real = budget_alerts.spending.Book.spent

    def broken_for_acme(book, each):
        if each.tenant_id == cast.acme.pk:
            raise ZeroDivisionError
        return real(book, each)

    monkeypatch.setattr(budget_alerts.spending.Book, "spent", broken_for_acme)
    with pytest.raises(budgets.CheckError, match="1 of 3 budgets"):
        check()

    assert mailed() == {"mallory@globex.example"}


@pytest.mark.django_db(transaction=True)
def test_two_checks_at_once_tell_it_once(spend, budget):
    spend("95.00")
    start, found = threading.Barrier(4), []

    def run() -> None:
        start.wait()
        try:
            found.append(budgets.check_all(NOW))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert (len(found), sum(found)) == (4, 2)
    assert Notification.objects.count() == 3
