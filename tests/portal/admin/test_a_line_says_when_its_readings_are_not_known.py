"""The ledger's engine is away: operators open a billed line all the same, and its readings are said to be unknown right now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.test import Client

from tests.metering.billing.invoices import issued_invoice
from tests.tenants.cast import Cast

from .conftest import text_of


def test_it_says_so_and_shows_the_rest(browse: Callable[[str], Client], cast: Cast, settings: Any) -> None:
    invoice = issued_invoice(cast.acme)
    line, olivia = f"/admin/metering/invoice/{invoice.pk}/lines/1/", browse("olivia")
    hour = olivia.get(line).context["hours"][0].hour
    assert "last-month" in text_of(olivia.get(line, {"hour": hour.isoformat()}))
    settings.EVENT_STORE, settings.CLICKHOUSE_URL = "clickhouse", "http://127.0.0.1:1/nobody"
    answer = olivia.get(line, {"hour": hour.isoformat()})
    assert answer.status_code == 200
    assert "Not known right now: the ledger does not answer." in text_of(answer)
    assert "10 × 2.5 = 25" in text_of(answer)
