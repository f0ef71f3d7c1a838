"""Through the API: budgets in a currency of three digits, and the mail that a void invoice or a credit note sends."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from metering.models import Notification, Price, PriceBook, PriceBookVersion, TenantPriceBook
from tests.metering.billing.invoices import issued_invoice
from tests.portal.api.calling import Api, Callers, problem
from tests.tenants.cast import Cast


def test_a_budget_in_dinars_is_taken_and_shown_to_the_fils(callers: Callers, cast: Cast) -> None:
    start = datetime(2020, 1, 1, tzinfo=UTC)
    book = PriceBook.objects.create(slug="kwd", name="KWD", currency="KWD")
    version = PriceBookVersion.objects.create(book=book, number=1, starts_at=start)
    Price.objects.create(version=version, meter="api_calls", unit_price=Decimal("0.001"))
    version.published_at = start
    version.save()
    TenantPriceBook.objects.create(tenant=cast.globex, book=book, starts_at=start, reason="a test")
    gina = callers.token()
    made = gina.post(
        "tenants/globex/budgets", {"name": "All", "amount": "25.125", "thresholds": [{"percent": 80}], "reason": "x"}
    )
    assert made.status_code == 201, made.content
    found = made.json()
    assert (found["amount"], found["currency"], found["spent"]) == ("25.125", "KWD", "0.000")
    problem(gina.patch(f"tenants/globex/budgets/{found['id']}", {"amount": "25.1255"}), 400, "validation_error")


def test_an_operators_void_and_credit_are_told(operator: Api, cast: Cast) -> None:
    first, second = issued_invoice(cast.acme, 2), issued_invoice(cast.acme, 1)
    void = operator.post(f"tenants/acme/invoices/{first.public_id}/void", {"reason": "wrong entity"})
    note = operator.post(
        f"tenants/acme/invoices/{second.public_id}/credit-notes", {"amount": "5.00", "reason": "Outage"}
    )
    assert (void.status_code, note.status_code) == (200, 201), (void.content, note.content)
    kinds = Notification.objects.order_by("pk").values_list("kind", flat=True)
    assert set(kinds) >= {"invoice-void", "credit-note-issued"}
