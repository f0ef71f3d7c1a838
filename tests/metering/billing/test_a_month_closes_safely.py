from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from metering.billing import announcing, closing, drafting
from metering.billing.drafting import PeriodOpenError, draft
from metering.billing.issuing import GraceError, issue
from metering.models import Invoice, InvoiceLine, InvoiceState, Notification
from metering.pricing import Rating
from tenants import periods
from tenants.models import BillingPeriod, Tenant

from .conftest import AUGUST, Use

IN_GRACE = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)


def outcomes(now: datetime) -> list[str]:
    return [each.outcome for each in closing.close("2026-07", now)]


def test_first_a_draft_then_after_the_grace_an_invoice_then_nothing(acme: Tenant, use: Use) -> None:
    use("job-1", "10", on=datetime(2026, 7, 8, 12))
    assert outcomes(datetime(2026, 7, 31, 23, 59, tzinfo=UTC)) == ["not ended"]
    assert outcomes(IN_GRACE) == ["drafted"]
    assert Invoice.objects.get().state == InvoiceState.DRAFT
    assert outcomes(AUGUST) == ["issued"]
    assert outcomes(AUGUST) == ["already issued"]
    assert Invoice.objects.count() == 1


def test_one_mail_announces_it(acme: Tenant, use: Use) -> None:
    Tenant.objects.update(contact_email="billing@acme.example")
    use("job-1", "10", on=datetime(2026, 7, 8, 12))
    for _ in range(3):
        outcomes(AUGUST)
        announcing.announce_due(AUGUST)
    mail = Notification.objects.get(kind="invoice-issued")
    assert mail.recipient == "billing@acme.example"
    assert "$25.00" in mail.subject
    assert "GPU hours" in mail.text


def test_one_tenants_trouble_keeps_nobody_else_waiting(
    acme: Tenant, globex: Tenant, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    use("job-1", "10", on=datetime(2026, 7, 8, 12))
    original = drafting.lines_of

    def fails_for_acme(rating: Rating) -> list[InvoiceLine]:
        if rating.lines:
            raise RuntimeError("trouble")
        return original(rating)

    monkeypatch.setattr(drafting, "lines_of", fails_for_acme)
    results = {each.tenant.slug: (each.outcome, each.detail) for each in closing.close("2026-07", AUGUST)}
    assert results == {"acme": ("failed", "RuntimeError: trouble"), "globex": ("nothing to invoice", "")}


def test_the_clock_closes_last_month_by_itself(acme: Tenant, use: Use) -> None:
    use("job-1", "10", on=datetime(2026, 7, 8, 12))
    assert [each.outcome for each in closing.due(AUGUST)] == ["issued"]
    assert list(closing.due(AUGUST)) == []


def test_a_running_month_cannot_be_drafted(acme: Tenant) -> None:
    with pytest.raises(PeriodOpenError):
        draft(acme, periods.period_by_key(acme, "2026-08"), AUGUST)


def test_nothing_is_issued_within_the_grace(acme: Tenant, july: BillingPeriod, use: Use) -> None:
    use("job-1", "10", on=datetime(2026, 7, 8, 12))
    with pytest.raises(GraceError, match="2026-08-02 00:00"):
        issue(acme, july, IN_GRACE)
    assert issue(acme, july, IN_GRACE, before_grace=True).total == Decimal("25.00")


def test_usage_within_the_grace_still_flows_in(acme: Tenant, use: Use) -> None:
    use("job-1", "10", on=datetime(2026, 7, 8, 12))
    outcomes(IN_GRACE)
    use("job-2", "2", on=datetime(2026, 7, 31, 23), now=IN_GRACE)
    outcomes(AUGUST)
    assert Invoice.objects.get().total == Decimal("30.00")


@pytest.mark.parametrize("month", ["2026-13", "2026-7", "july", "2026-07-01", ""])
def test_another_form_of_month_is_refused(db: None, month: str) -> None:
    with pytest.raises(ValueError, match="YYYY-MM"):
        list(closing.close(month, AUGUST))
