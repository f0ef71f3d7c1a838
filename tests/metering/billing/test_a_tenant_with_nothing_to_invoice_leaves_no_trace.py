from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from metering.billing import closing
from metering.models import Invoice
from tenants.models import AuditEntry, BillingPeriod, Tenant

from .conftest import AUGUST, Use

IN_GRACE = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("now", [IN_GRACE, AUGUST])
def test_nothing_is_written_and_taken_back(acme: Tenant, july: BillingPeriod, now: datetime) -> None:
    before = AuditEntry.objects.count()
    assert [each.outcome for each in closing.close("2026-07", now)] == ["nothing to invoice"]
    assert [each.outcome for each in closing.due(now)] == ["nothing to invoice"]
    assert AuditEntry.objects.count() == before


def test_a_draft_whose_usage_was_taken_back_goes(acme: Tenant, use: Use) -> None:
    use("job-1", "10", on=datetime(2026, 7, 8, 12))
    assert [each.outcome for each in closing.close("2026-07", IN_GRACE)] == ["drafted"]
    fix = {"source": "/gpu/node-1", "id": "job-1"}
    use("fix", "-10", on=datetime(2026, 7, 8, 12), now=IN_GRACE + timedelta(hours=1), corrects=fix)
    (closed,) = closing.close("2026-07", IN_GRACE)
    # The usage comes to zero, and a line says so: it is still a line.
    assert closed.outcome == "drafted"
    assert Invoice.objects.get().total == 0


def test_a_draft_that_stays_the_same_is_not_written_again(acme: Tenant, use: Use) -> None:
    use("job-1", "10", on=datetime(2026, 7, 8, 12))
    list(closing.close("2026-07", IN_GRACE))
    lines = list(Invoice.objects.get().lines.values_list("pk", flat=True))
    before = AuditEntry.objects.count()
    list(closing.close("2026-07", IN_GRACE + timedelta(hours=1)))
    invoice = Invoice.objects.get()
    assert list(invoice.lines.values_list("pk", flat=True)) == lines
    assert invoice.computed_at == IN_GRACE + timedelta(hours=1)
    assert AuditEntry.objects.count() == before
