from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from tests.metering.billing.invoices import issued_invoice
from tests.tenants.cast import Cast

from .conftest import text_of


def test_list_invoice_line_hour_reading(browse: Callable[[str], Client], cast: Cast) -> None:
    invoice = issued_invoice(cast.acme)
    alice = browse("alice")
    assert "INV-000001" in text_of(alice.get("/t/acme/invoices"))
    page = text_of(alice.get(f"/t/acme/invoices/{invoice.public_id}"))
    assert "$25.00" in page
    assert "10 GPU hours" in page
    line = alice.get(f"/t/acme/invoices/{invoice.public_id}/lines/1")
    assert "10 × 2.5 = 25" in text_of(line)
    (hour,) = line.context["hours"]
    assert hour["text"] == "10 GPU hours"
    opened = alice.get(f"/t/acme/invoices/{invoice.public_id}/lines/1", {"hour": hour["hour"].isoformat()})
    assert "last-month" in text_of(opened)


@pytest.mark.parametrize("kind", ["csv", "xlsx", "json", "pdf"])
def test_documents_come_as_files(browse: Callable[[str], Client], cast: Cast, kind: str) -> None:
    invoice = issued_invoice(cast.acme)
    answer = browse("carol").get(f"/t/acme/invoices/{invoice.public_id}/document.{kind}")
    assert answer.status_code == 200
    assert answer["Content-Disposition"] == f'attachment; filename="INV-000001.{kind}"'


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
