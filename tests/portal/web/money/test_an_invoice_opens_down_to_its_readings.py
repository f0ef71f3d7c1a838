from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from metering.billing import payments
from metering.ledger import ingestion, rollups
from metering.money import Money
from portal.web.writing import formats
from tests.metering.billing.invoices import issued_invoice
from tests.metering.events import event
from tests.portal.web.conftest import text_of
from tests.tenants.cast import Cast


def test_list_invoice_line_hour_reading(browse: Callable[[str], Client], cast: Cast) -> None:
    invoice = issued_invoice(cast.acme)
    alice = browse("alice")
    assert "INV-000001" in text_of(alice.get("/t/acme/invoices"))
    page = text_of(alice.get(f"/t/acme/invoices/{invoice.public_id}"))
    assert "$25.00" in page
    assert "10 GPU hours" in page
    assert invoice.due_on is not None
    assert f"due on {formats.day(invoice.due_on, 'UTC')}" in page, "written as the other dates of the page"
    line = alice.get(f"/t/acme/invoices/{invoice.public_id}/lines/1")
    assert "10 × 2.5 = 25" in text_of(line)
    (day,) = line.context["days"]
    (hour,) = day["hours"]
    assert day["text"] == hour["text"] == "10 GPU hours"
    assert line.context["later"] == ""
    opened = alice.get(f"/t/acme/invoices/{invoice.public_id}/lines/1", {"hour": hour["hour"].isoformat()})
    assert "last-month" in text_of(opened)


def test_readings_that_are_not_known_right_now_are_said_to_be(
    browse: Callable[[str], Client], cast: Cast, settings: Any
) -> None:
    """The ledger's engine is away: the bill, its line and its hours are shown all the same."""
    invoice = issued_invoice(cast.acme)
    settings.EVENT_STORE, settings.CLICKHOUSE_URL = "clickhouse", "http://127.0.0.1:1/nobody"
    alice, line = browse("alice"), f"/t/acme/invoices/{invoice.public_id}/lines/1"
    (day,) = alice.get(line).context["days"]
    page = text_of(alice.get(line, {"hour": day["hours"][0]["hour"].isoformat()}))
    assert "Not known right now: the ledger does not answer." in page
    assert "No entries in this hour" not in page
    assert "10 × 2.5 = 25" in page


@pytest.mark.parametrize("kind", ["csv", "xlsx", "json", "pdf"])
def test_documents_come_as_files(browse: Callable[[str], Client], cast: Cast, kind: str) -> None:
    invoice = issued_invoice(cast.acme)
    answer = browse("carol").get(f"/t/acme/invoices/{invoice.public_id}/document.{kind}")
    assert answer.status_code == 200
    assert answer["Content-Disposition"] == f'attachment; filename="INV-000001.{kind}"'


def test_what_came_after_the_invoice_is_said(browse: Callable[[str], Client], cast: Cast) -> None:
    invoice = issued_invoice(cast.acme)
    moment = invoice.period.ends_at - timedelta(hours=2)
    ingestion.book(cast.acme, [event("late", moment, "1.25", "gpu_hours", model="A100")], moment)
    rollups.run(timezone.now())
    line = browse("alice").get(f"/t/acme/invoices/{invoice.public_id}/lines/1")
    assert line.context["later"] == "+1.25 GPU hours"
    assert "came after the invoice was issued" in text_of(line)


@pytest.mark.parametrize("kind", ["csv", "xlsx", "json", "pdf"])
def test_a_credit_note_comes_as_a_file(browse: Callable[[str], Client], cast: Cast, kind: str) -> None:
    invoice = issued_invoice(cast.acme)
    note = payments.credit(invoice, None, "goodwill", timezone.now())
    path = f"/credit-notes/{note.public_id}/document.{kind}"
    carol = browse("carol")
    page = carol.get(f"/t/acme/invoices/{invoice.public_id}")
    assert f"/t/acme/invoices/{invoice.public_id}{path}" in page.content.decode()
    answer = carol.get(f"/t/acme/invoices/{invoice.public_id}{path}")
    assert answer["Content-Disposition"] == f'attachment; filename="INV-CN-000001.{kind}"'
    other = issued_invoice(cast.globex)
    assert carol.get(f"/t/acme/invoices/{other.public_id}{path}").status_code == 404
    assert browse("mallory").get(f"/t/globex/invoices/{other.public_id}{path}").status_code == 404


def test_it_says_until_when_to_pay_and_what_was_paid(browse: Callable[[str], Client], cast: Cast) -> None:
    invoice = issued_invoice(cast.acme)
    due = timezone.now().date() + timedelta(days=30)
    assert invoice.due_on == due
    assert not invoice.is_overdue(timezone.now())
    assert invoice.is_overdue(timezone.now() + timedelta(days=31))
    payments.record(invoice, payments.Receipt(Money.parse("5.00", "USD"), "bank", "4711", timezone.now()))
    page = text_of(browse("carol").get(f"/t/acme/invoices/{invoice.public_id}"))
    assert "due on" in page
    assert "4711" in page
    assert "$20.00" in page


@pytest.mark.parametrize("path", ["", "/lines/1", "/document.pdf"])
def test_anothers_invoice_is_not_there(browse: Callable[[str], Client], cast: Cast, path: str) -> None:
    theirs = issued_invoice(cast.acme)
    foreign = browse("mallory").get(f"/t/globex/invoices/{theirs.public_id}{path}")
    unknown = browse("mallory").get(f"/t/globex/invoices/00000000-0000-4000-8000-000000000000{path}")
    assert foreign.status_code == unknown.status_code == 404


@pytest.mark.parametrize(("path", "status"), [("/lines/9", 404), ("/document.exe", 404), ("/lines/99999999999", 404)])
def test_what_is_not_there_is_a_404(browse: Callable[[str], Client], cast: Cast, path: str, status: int) -> None:
    invoice = issued_invoice(cast.acme)
    assert browse("alice").get(f"/t/acme/invoices/{invoice.public_id}{path}").status_code == status
