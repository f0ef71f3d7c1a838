from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Any

import pytest

from metering.billing.issuing import credit, issue
from metering.finance import finance_report
from metering.ledger import ingestion, rollups
from metering.mail.delivery import Envelope
from metering.models import Notification
from metering.money import Money
from tenants import periods
from tenants.models import Tenant

DUE = datetime(2026, 8, 2, 13, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _finance(settings: Any) -> None:
    settings.FINANCE_REPORT_EMAILS = ["finance@platform.example", "cfo@platform.example"]
    settings.INVOICE_GRACE_HOURS = 24


def use(tenant: Tenant, month: int, calls: int) -> None:
    at = datetime(2026, month, 15, 12, tzinfo=UTC)
    event = {
        "specversion": "1.0", "source": "/tests", "id": f"{tenant.slug}-{month}", "type": "api_calls", "time": at, "data": {"quantity": calls},
    }  # fmt: skip
    (result,) = ingestion.book(tenant, [event], at)
    assert result.status == "accepted", result
    rollups.run(at)


def test_when_the_month_is_over_everywhere_and_invoiced(acme: Tenant) -> None:
    use(acme, 7, 1000)
    assert finance_report.send_due(datetime(2026, 8, 2, 12, 59, tzinfo=UTC)) == 0
    assert finance_report.send_due(DUE) == 2
    assert finance_report.send_due(DUE) == 0
    assert Notification.objects.count() == 2


def test_tenants_stand_by_cost_beside_the_month_before(acme: Tenant, globex: Tenant) -> None:
    use(acme, 6, 100_000)
    use(acme, 7, 150_000)
    use(globex, 7, 400_000)
    finance_report.send_due(DUE)
    mail = Notification.objects.first()
    assert mail is not None
    assert mail.subject == "Costs of July 2026: $550.00"
    assert "$550.00 before tax, $100.00 the month before (+450.0%)" in mail.text
    assert mail.text.index("Globex: $400.00 (new), no invoice") < mail.text.index(
        "Acme Radiology: $150.00 (+50.0%), no invoice"
    )
    rows = list(csv.DictReader(io.StringIO(mail.attachment)))
    assert [(row["tenant"], row["cost_before_tax"], row["change"]) for row in rows] == [
        ("globex", "400.00", "400.00"), ("acme", "150.00", "50.00"),
    ]  # fmt: skip


def test_the_csv_goes_with_the_mail(acme: Tenant) -> None:
    use(acme, 7, 1000)
    letter = finance_report.letter("2026-07", DUE)
    message = Envelope(
        "k",
        "finance@platform.example",
        letter.subject,
        letter.text,
        letter.html,
        letter.attachment_name,
        letter.attachment,
    ).message()
    (attachment,) = list(message.attachments)
    name, _, kind = attachment
    assert (name, kind) == ("costs-2026-07.csv", "text/csv")
    assert b"acme" in message.message().as_bytes()


def test_a_name_is_no_formula(acme: Tenant) -> None:
    Tenant.objects.filter(pk=acme.pk).update(name="=HYPERLINK(1)")
    use(acme, 7, 1000)
    assert "'=HYPERLINK(1)" in finance_report.letter("2026-07", DUE).attachment


def test_without_addresses_nothing_is_made(acme: Tenant, settings: Any) -> None:
    settings.FINANCE_REPORT_EMAILS = []
    use(acme, 7, 1000)
    assert finance_report.send_due(DUE) == 0


def test_what_was_credited_is_named(acme: Tenant) -> None:
    use(acme, 7, 1000)
    invoice = issue(acme, periods.period_by_key(acme, "2026-07"), DUE)
    credit(invoice, Money.parse("0.40", "USD"), "outage", DUE)
    letter = finance_report.letter("2026-07", DUE)
    assert "credited $0.40" in letter.text
    assert "$0.40 credited" in letter.text
    (row,) = csv.DictReader(io.StringIO(letter.attachment))
    assert row["credited"] == "0.40"
