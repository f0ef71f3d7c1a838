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


def issued_invoice(tenant: Tenant) -> Invoice:
    """Last month's invoice of the tenant: ten GPU hours, $25.00."""
    month = calendar.previous_month(periods.period_at(tenant, timezone.now()).key)
    period = periods.period_by_key(tenant, month)
    moment = period.ends_at - timedelta(hours=3)
    (result,) = ingestion.book(tenant, [event("last-month", moment, "10", "gpu_hours", model="H100")], moment)
    assert result.status == "accepted", result
    rollups.run(moment)
    return issue(tenant, period, timezone.now(), before_grace=True)
