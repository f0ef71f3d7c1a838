from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from metering.billing import closing, documents
from metering.billing.drafting import draft
from metering.billing.issuing import issue
from metering.models import GapDecision, GapPolicy, GapShare, Invoice, InvoiceState, Meter, MeteringGap
from metering.usage import gap_shares
from tenants import periods
from tenants.models import BillingPeriod, Tenant

from .conftest import AUGUST, Use

START = datetime(2026, 7, 8, 13, tzinfo=UTC)
SEPTEMBER = datetime(2026, 9, 3, tzinfo=UTC)


@pytest.fixture
def gap(acme: Tenant, use: Use) -> MeteringGap:
    """Two hours in which the collector knew nothing, after an hour with two GPUs; the meter asks."""
    Meter.objects.filter(key="gpu_hours").update(gap_policy=GapPolicy.ASK, gap_cap_seconds=3600)
    use("job-1", "2", on=datetime(2026, 7, 8, 12), model="H100")
    made = MeteringGap.objects.create(
        tenant=acme, collector="gpus", node="n", meter="gpu_hours", starts_at=START, ends_at=START + timedelta(hours=2),
        reason="the driver did not answer",
    )  # fmt: skip
    gap_shares.settle(AUGUST)
    return made


def decide(decision: str, amount: Decimal | None = None, now: datetime = AUGUST) -> None:
    gap_shares.decide(GapShare.objects.get(), decision, amount=amount, reason="agreed", actor="user:olivia", now=now)


def test_the_invoice_waits_for_the_decision(acme: Tenant, gap: MeteringGap) -> None:
    assert [each.outcome for each in closing.close("2026-07", AUGUST)] == ["waits for a decision"]
    assert Invoice.objects.get().state == InvoiceState.DRAFT
    decide(GapDecision.LAST)
    assert [each.outcome for each in closing.close("2026-07", AUGUST)] == ["issued"]
    assert Invoice.objects.get().total == Decimal("10.00")  # 2 + 2 hours


def test_every_form_of_the_invoice_says_what_was_done(acme: Tenant, july: BillingPeriod, gap: MeteringGap) -> None:
    decide(GapDecision.LAST)
    invoice = issue(acme, july, AUGUST)
    (said,) = json.loads(documents.document(invoice, "json").content)["gaps"]
    assert (said["collector"], said["from"], said["billed"], said["unit"]) == (
        "gpus",
        "2026-07-08T13:00:00+00:00",
        "2",
        "hour",
    )
    assert said["done"] == "Billed at the last known value, for at most 1 h."
    page = documents.html(json.loads(invoice.snapshot))
    assert "Billed at the last known value" in page
    assert "the driver did not answer" in page
    assert "8 July 2026, 15:00" in page, "as every date of the document, and in the zone of the invoice"
    assert "T13:00:00" not in page
    (line,) = invoice.lines.all()
    assert line.quantity == 4


def test_a_decision_after_issue_is_adjusted_on_the_next_invoice(
    acme: Tenant, july: BillingPeriod, gap: MeteringGap
) -> None:
    issued = closing.issue_now(acme, "2026-07", AUGUST, actor="user:olivia", reason="the customer asked for it")
    assert issued.total == Decimal("5.00")
    decide(GapDecision.AMOUNT, Decimal(1), now=AUGUST + timedelta(days=3))
    following = draft(acme, periods.period_by_key(acme, "2026-08"), SEPTEMBER)
    (line,) = following.lines.all()
    assert (line.kind, line.origin_period, line.amount) == ("adjustment", "2026-07", Decimal("2.50"))
