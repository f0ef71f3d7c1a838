from __future__ import annotations

import csv
import io
import json
import zipfile

import pytest
from openpyxl import load_workbook
from pypdf import PdfReader

from metering.billing.documents import COLUMNS, NotIssuedError, document, html
from metering.billing.drafting import draft
from metering.billing.issuing import credit
from metering.models import Invoice, InvoiceDocument, LegalEntity
from tenants.models import BillingPeriod, Tenant

from .conftest import AUGUST


def test_the_pdf_says_what_is_owed_and_stays_the_same(invoice: Invoice, acme: Tenant) -> None:
    first = document(invoice, "pdf")
    text = " ".join(page.extract_text() for page in PdfReader(io.BytesIO(first.content)).pages)
    assert "INV-000001" in text
    assert "25.00 USD" in text
    LegalEntity.objects.update(name="Somebody else")
    Tenant.objects.update(name="Renamed")
    assert document(invoice, "pdf").content == first.content
    assert InvoiceDocument.objects.get().sha256 == first.sha256


def test_the_csv_adds_up_and_is_no_formula(invoice: Invoice) -> None:
    rows = list(csv.DictReader(io.StringIO(document(invoice, "csv").content.decode())))
    assert [row["amount"] for row in rows] == ["25.00", "25.00", "0.00", "25.00"]


def test_the_xlsx_holds_numbers(invoice: Invoice) -> None:
    content = document(invoice, "xlsx").content
    rows = list(load_workbook(io.BytesIO(content)).active.iter_rows(min_row=2, values_only=True))
    assert [row[COLUMNS.index("amount")] for row in rows] == [25, 25, 0, 25]
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        assert b"<f>" not in parts.read("xl/worksheets/sheet1.xml")


def test_the_json_is_the_snapshot_itself(invoice: Invoice) -> None:
    assert document(invoice, "json").content.decode() == invoice.snapshot


def test_a_credit_note_has_documents_too(invoice: Invoice) -> None:
    note = credit(invoice, None, "goodwill", AUGUST)
    text = " ".join(page.extract_text() for page in PdfReader(io.BytesIO(document(note, "pdf").content)).pages)
    assert "INV-CN-000001" in text
    assert "goodwill" in text


def test_a_draft_has_none(acme: Tenant, july: BillingPeriod) -> None:
    with pytest.raises(NotIssuedError):
        document(draft(acme, july, AUGUST), "pdf")


def test_names_cannot_bring_markup_or_files_into_the_page(invoice: Invoice) -> None:
    snapshot = json.loads(invoice.snapshot)
    snapshot["customer"]["name"] = "<img src='file:///etc/passwd'>{{ 7|add:7 }}"
    page = html(snapshot)
    assert "<img" not in page
    assert "{{ 7|add:7 }}" in page
