"""The way of a budget mail: calls are booked, rolled up and rated, the threshold is crossed, and a mail server has the mail."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from metering import budgets
from metering.ledger import ingestion, rollups
from metering.telling import notifications

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 7, 15, 12, 0, tzinfo=UTC)


def test_three_thresholds_three_mails_each_once(smtp, cast):
    budgets.set_budget(cast.acme, Decimal(100), [80, 90, 100], "user:alice", recipients=["cfo@acme.example"])
    for step, calls in enumerate([79_000, 1_000, 9_999, 1, 10_000, 30_000]):
        at = NOW + step * timedelta(minutes=1)
        event = {
            "specversion": "1.0",
            "source": "/tests",
            "id": f"e{step}",
            "type": "api_calls",
            "time": at,
            "data": {"quantity": calls},
        }
        ingestion.book(cast.acme, [event], at)
        rollups.run(at)
        for _ in range(2):  # two beats
            budgets.check_all(at)
            notifications.send_due(at)

    assert [mail["Subject"] for mail in smtp.mails] == [
        "Acme Radiology: 80% of the monthly budget is spent",
        "Acme Radiology: 90% of the monthly budget is spent",
        "Acme Radiology: Monthly budget used up, $100.00 of $100.00",
    ]
    for mail in smtp.mails:
        assert mail["To"] == "cfo@acme.example"
        assert "https://portal.example.org/t/acme/budget" in mail.get_body(("plain",)).get_content()
        assert "<h1" in mail.get_body(("html",)).get_content()
