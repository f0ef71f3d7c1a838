"""Closing a month: a draft for every tenant, and after the grace time the invoice. Safe to repeat, to interrupt, to run twice at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from tenants import audit, calendar, periods
from tenants.models import BillingPeriod, Tenant

from ..models import Invoice, InvoiceState
from . import announcing
from .drafting import PeriodOpenError, draft
from .issuing import issue

Outcome = Literal["drafted", "issued", "already issued", "nothing to invoice", "not ended", "failed"]


@dataclass(frozen=True, slots=True)
class Closed:
    """What became of one tenant's month. `detail` holds the number of the invoice, or the error."""

    tenant: Tenant
    outcome: Outcome
    detail: str = ""


def close(month: str, now: datetime) -> Iterator[Closed]:
    """Close 'YYYY-MM' for every tenant, one transaction each; yields as it goes. Raises ValueError for another form of month."""
    calendar.parse_month(month)
    for tenant in Tenant.objects.select_related("tier").order_by("pk").iterator(chunk_size=500):
        yield close_tenant(tenant, month, now)


def close_tenant(tenant: Tenant, month: str, now: datetime) -> Closed:
    """Draft the tenant's month, or issue it when its grace time has passed. Never raises for one tenant's trouble: it is reported."""
    period = periods.period_by_key(tenant, month)
    issued = Invoice.objects.filter(
        tenant=tenant, period=period, state__in=[InvoiceState.ISSUED, InvoiceState.PAID]
    ).first()
    if issued is not None:
        return Closed(tenant, "already issued", issued.number)
    if now < period.ends_at:
        return Closed(tenant, "not ended")
    final = now >= period.ends_at + timedelta(hours=settings.INVOICE_GRACE_HOURS)
    try:
        with audit.acting("system:invoicing", f"closing {month}"):
            return _issue(tenant, period, now) if final else _draft(tenant, period, now)
    except PeriodOpenError:
        return Closed(tenant, "not ended")
    except Exception as error:  # one tenant's trouble must not keep the others from their invoices
        return Closed(tenant, "failed", f"{type(error).__name__}: {error}"[:300])


def _draft(tenant: Tenant, period: BillingPeriod, now: datetime) -> Closed:
    invoice = draft(tenant, period, now)
    if not invoice.lines.exists():
        invoice.delete()
        return Closed(tenant, "nothing to invoice")
    return Closed(tenant, "drafted", f"{invoice.total} {invoice.currency}")


@transaction.atomic
def _issue(tenant: Tenant, period: BillingPeriod, now: datetime) -> Closed:
    # Two closings at once meet at the invoice's row lock; the second finds it issued and gets it back unchanged.
    if not draft(tenant, period, now).lines.exists():
        return _draft(tenant, period, now)
    invoice = issue(tenant, period, now)
    announcing.announce(invoice)
    return Closed(tenant, "issued", invoice.number)


def due(now: datetime) -> Iterator[Closed]:
    """What the clock owes: last month of every tenant whose month has ended and is not issued yet."""
    taken = Invoice.objects.filter(tenant=OuterRef("pk"), state__in=[InvoiceState.ISSUED, InvoiceState.PAID])
    for tenant in Tenant.objects.select_related("tier").iterator(chunk_size=500):
        current = periods.period_at(tenant, now)
        month = calendar.previous_month(current.key)
        if not Tenant.objects.filter(Q(pk=tenant.pk), Exists(taken.filter(period__key=month))).exists():
            yield close_tenant(tenant, month, now)
