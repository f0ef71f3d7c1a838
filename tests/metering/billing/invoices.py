"""An issued invoice to try things on."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from metering.billing.issuing import issue
from metering.ledger import ingestion, rollups
from metering.models import Invoice
from tenants import calendar, periods
from tenants.models import Tenant
from tests.metering.events import event


def issued_invoice(tenant: Tenant, months_ago: int = 1) -> Invoice:
    """Last month's invoice of the tenant, or an earlier one: ten GPU hours, $25.00."""
    month = periods.period_at(tenant, timezone.now()).key
    for _ in range(months_ago):
        month = calendar.previous_month(month)
    period = periods.period_by_key(tenant, month)
    moment = period.ends_at - timedelta(hours=3)
    (result,) = ingestion.book(
        tenant,
        [
            event(
                "last-month" if months_ago == 1 else f"{months_ago}-months-ago", moment, "10", "gpu_hours", model="H100"
            )
        ],
        moment,
    )
    assert result.status == "accepted", result
    rollups.run(moment)
    return issue(tenant, period, timezone.now(), before_grace=True)
