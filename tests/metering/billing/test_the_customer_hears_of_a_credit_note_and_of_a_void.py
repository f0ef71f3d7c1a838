from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal

import pytest

from metering.billing import announcing, issuing, payments
from metering.models import Invoice, Notice, NoticeChoice, NoticeKind, NoticePace, Notification, WebhookDelivery
from metering.money import Money
from metering.webhooks import endpoints
from tenants.models import Membership, Role, Tenant, User

from .conftest import AUGUST

pytestmark = pytest.mark.django_db


@pytest.fixture
def carol(acme: Tenant) -> Membership:
    """Who pays."""
    user = User.objects.create_user("carol", "carol@acme.example")
    return Membership.objects.create(tenant=acme, user=user, role=Role.BILLING)


def mails() -> list[Notification]:
    return list(Notification.objects.order_by("pk"))


def test_a_credit_note_says_what_is_left_to_pay(acme: Tenant, carol: Membership, invoice: Invoice) -> None:
    note = payments.credit(invoice, Money(Decimal("10.00"), "USD"), "Outage on\n3 July", AUGUST)
    (mail,) = mails()
    assert (mail.kind, mail.recipient) == ("credit-note-issued", "carol@acme.example")
    assert mail.subject == f"Credit note {note.number} for {invoice.number}: $10.00"
    assert "Reason: Outage on 3 July" in mail.text
    assert "$15.00 of the invoice is still to be paid." in mail.text
    assert f"/t/{acme.slug}/invoices/{invoice.public_id}" in mail.text


def test_after_a_payment_it_says_what_is_paid_back(carol: Membership, invoice: Invoice) -> None:
    payments.record(invoice, payments.Receipt(Money(Decimal("25.00"), "USD"), "bank", "4711", AUGUST))
    payments.credit(invoice, Money(Decimal("4.00"), "USD"), "goodwill", AUGUST)
    assert "$4.00 was paid beyond what it comes to now" in mails()[-1].text


def test_a_whole_credit_leaves_nothing(carol: Membership, invoice: Invoice) -> None:
    payments.credit(invoice, None, "goodwill", AUGUST)
    assert "Nothing of the invoice is left to be paid." in mails()[-1].text


def test_a_void_invoice_need_not_be_paid(acme: Tenant, carol: Membership, invoice: Invoice) -> None:
    endpoints.create(acme, "https://hooks.acme.example/x", [], "", "user:alice")
    issuing.void(invoice, "issued to the wrong entity", AUGUST)
    (mail,) = mails()
    assert mail.subject == f"Invoice {invoice.number} is void: $25.00 are not due"
    assert "Please do not pay it." in mail.text
    told = json.loads(WebhookDelivery.objects.get(event_type="invoice.void").body)["data"]
    assert (told["number"], told["total"], told["reason"]) == (invoice.number, "25.00", "issued to the wrong entity")


def test_nobody_hears_of_the_end_before_the_beginning(carol: Membership, invoice: Invoice) -> None:
    announcing.owe([invoice])
    issuing.void(invoice, "too early", AUGUST)
    assert [mail.kind for mail in mails()] == ["invoice-issued", "invoice-void"]
    assert announcing.announce_due(AUGUST) == 0


def test_it_comes_as_the_reader_wants_notices_of_invoices(acme: Tenant, carol: Membership, invoice: Invoice) -> None:
    NoticeChoice.objects.create(tenant=acme, membership=carol, kind=NoticeKind.INVOICE, pace=NoticePace.DAILY)
    payments.credit(invoice, None, "goodwill", AUGUST + timedelta(days=1))
    assert mails() == []
    notice = Notice.objects.get(membership=carol)
    assert (notice.kind, notice.mail_owed, notice.page) == (NoticeKind.INVOICE, True, "invoices")


def test_what_is_refused_is_not_told(carol: Membership, invoice: Invoice) -> None:
    with pytest.raises(issuing.InvoiceStateError):
        payments.credit(invoice, Money(Decimal("25.01"), "USD"), "too much", AUGUST)
    with pytest.raises(issuing.InvoiceStateError):
        issuing.void(invoice, " ", AUGUST)
    assert mails() == []
