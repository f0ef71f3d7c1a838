from __future__ import annotations

import json
from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from metering.billing import closing
from metering.billing.issuing import broken, credit, issue
from metering.models import Invoice, LegalEntity
from tenants import periods
from tenants.models import BillingPeriod, Tenant

from .conftest import AUGUST, Use


def entity() -> LegalEntity:
    return LegalEntity.objects.get(is_default=True)


def test_a_failed_issue_gives_its_number_back(
    acme: Tenant, july: BillingPeriod, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    use("job-1", "10", on=datetime(2026, 7, 8, 12))
    with monkeypatch.context() as patch:
        patch.setattr("metering.billing.issuing.digest", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            issue(acme, july, AUGUST)
    assert issue(acme, july, AUGUST).number == "INV-000001"


def test_numbers_follow_each_other_over_tenants(acme: Tenant, globex: Tenant, use: Use) -> None:
    use("job-1", "10", on=datetime(2026, 7, 8, 12))
    outcomes = {each.tenant.slug: each.outcome for each in closing.close("2026-07", AUGUST)}
    assert outcomes == {"acme": "issued", "globex": "nothing to invoice"}
    use("job-2", "1", on=datetime(2026, 8, 1, 12))
    second = issue(acme, periods.period_by_key(acme, "2026-08"), datetime(2026, 9, 3, tzinfo=UTC))
    assert second.number == "INV-000002"
    assert second.previous_hash == Invoice.objects.get(number="INV-000001").hash
    assert list(broken(entity())) == []


def test_the_hash_covers_the_whole_document(invoice: Invoice) -> None:
    document = json.loads(invoice.snapshot)
    assert document["total"] == "25.00"
    assert document["lines"][0]["detail"]["versions"]
    assert list(broken(entity())) == []


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE metering_invoice SET snapshot = replace(snapshot, '25.00', '20.00')", "the snapshot was changed"),
        ("UPDATE metering_invoice SET subtotal = 20, total = 20", "its row and its snapshot differ"),
        ("DELETE FROM metering_invoiceline; DELETE FROM metering_invoice", "the last invoice is missing"),
        ("UPDATE metering_invoice SET sequence = 5", "invoice number 1 is missing"),
        ("UPDATE metering_invoice SET subtotal = 20, tax = 5", "its row and its snapshot differ"),
        ("UPDATE metering_invoiceline SET amount = 20", "its lines and its snapshot differ"),
        ("UPDATE metering_invoiceline SET description = 'x'", "its lines and its snapshot differ"),
        ("DELETE FROM metering_invoiceline", "its lines and its snapshot differ"),
        ("UPDATE metering_invoice SET state = 'paid'", "payments and credit notes do not make up its total"),
        ("DELETE FROM metering_numbersequence", "the sequence of the invoice numbers is missing"),
    ],
)
def test_what_a_database_owner_changes_behind_the_triggers_is_found(
    invoice: Invoice, statement: str, found: str
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE metering_invoice DISABLE TRIGGER USER; ALTER TABLE metering_invoiceline DISABLE TRIGGER USER; "
            "ALTER TABLE metering_numbersequence DISABLE TRIGGER USER"
        )
        cursor.execute(statement)
    assert any(found in problem for problem in broken(entity()))


def test_credit_notes_have_a_chain_of_their_own(invoice: Invoice) -> None:
    first = credit(invoice, None, "goodwill", AUGUST)
    assert first.number == "INV-CN-000001"
    assert list(broken(entity())) == []


def test_the_command_says_its_verdict(invoice: Invoice) -> None:
    out = StringIO()
    call_command("verify_invoices", stdout=out)
    assert "1 documents checked: every number is there and the chain is intact." in out.getvalue()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE metering_invoice DISABLE TRIGGER USER")
        cursor.execute("UPDATE metering_invoice SET snapshot = replace(snapshot, '25.00', '20.00')")
    with pytest.raises(CommandError, match="the first is: .*INV-000001: the snapshot was changed"):
        call_command("verify_invoices", stdout=out, stderr=StringIO())
    assert "chain intact" in out.getvalue()
    assert "BROKEN, first: INV-000001" in out.getvalue()
