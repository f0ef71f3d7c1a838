"""A month of some tenants in one transaction: rated together, written together, and issued under one lock of each entity's numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from django.db import connection

from metering import memo
from metering.usage import gap_shares
from tenants import audit, periods
from tenants.models import BillingPeriod, Tenant

from ..models import EmptyMonth, InvoiceState
from ..models.invoice import MOST_GRACE_HOURS
from . import announcing, drafting
from .drafting import Bill, Case
from .issuing import freeze
from .parties import NoEntityError, entity_for, profiles_of

Outcome = Literal[
    "drafted", "issued", "already issued", "void", "nothing to invoice", "not ended", "waits for a decision", "failed"
]
LATEST = timedelta(hours=MOST_GRACE_HOURS)
"""How late usage can be: the ledger takes nothing that is older."""


@dataclass(frozen=True, slots=True)
class Closed:
    """What became of one tenant's month. `detail` holds the number of the invoice, or the error."""

    tenant: Tenant
    month: str
    outcome: Outcome
    detail: str = ""


def close(tenants: Sequence[Tenant], month: str, now: datetime) -> list[Closed]:
    """Draft the tenants' month, or issue it where its grace time has passed; one transaction.

    Never raises for a tenant's trouble: nothing of the portion is kept then, it is halved and tried again until the one in trouble is alone.
    """
    try:
        return _close(tenants, month, now)
    except Exception as error:  # one tenant's trouble must not keep the others from their invoices
        if len(tenants) == 1:
            return [Closed(tenants[0], month, "failed", f"{type(error).__name__}: {error}"[:300])]
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()
    middle = len(tenants) // 2
    return close(tenants[:middle], month, now) + close(tenants[middle:], month, now)


def _close(tenants: Sequence[Tenant], month: str, now: datetime) -> list[Closed]:
    # Meters, prices and the default entity are read once. What is published meanwhile is adjusted on the next invoice.
    with memo.remembering(), audit.acting("system:invoicing", f"closing {month}"):
        found: dict[int, Closed] = {}
        cases: list[Case] = []
        stored, profiles = _periods(tenants, month), profiles_of(tenants)
        for tenant in tenants:
            period = stored[tenant.pk]
            if now < period.ends_at:
                found[tenant.pk] = Closed(tenant, month, "not ended")
                continue
            try:
                cases.append(Case(tenant, period, profiles[tenant.pk], entity_for(profiles[tenant.pk])))
            except NoEntityError as error:
                found[tenant.pk] = Closed(tenant, month, "failed", str(error)[:300])
        bills = drafting.prepare(cases, now)
        waiting = gap_shares.waiting({case.tenant.pk: case.period for case in cases})
        final = [
            bill
            for bill in bills
            if bill.invoice is not None
            and not bill.is_issued
            and now >= bill.case.issue_after
            and bill.case.tenant.pk not in waiting
        ]
        before = {bill.case.tenant.pk: _before(bill, bill.case.tenant.pk in waiting, now) for bill in bills}
        freeze(final, now)
        announcing.owe(bill.invoice for bill in final if bill.invoice)
        _remember_empty(
            [bill for bill in bills if before[bill.case.tenant.pk][0] == "nothing to invoice"], waiting, now
        )
        for bill in final:
            before[bill.case.tenant.pk] = ("issued", bill.invoice.number if bill.invoice else "")
        return [found.get(tenant.pk) or Closed(tenant, month, *before[tenant.pk]) for tenant in tenants]


def _before(bill: Bill, waits: bool, now: datetime) -> tuple[Outcome, str]:
    """What is to be said of a bill that is not issued now."""
    invoice = bill.invoice
    if bill.is_void:
        return "void", "waits for somebody to issue it again"
    if invoice is None:
        return "nothing to invoice", ""
    if invoice.state != InvoiceState.DRAFT:
        return "already issued", invoice.number
    if waits and now >= bill.case.issue_after:
        return "waits for a decision", "a metering gap"
    return "drafted", f"{invoice.total} {invoice.currency}"


def _remember_empty(bills: Sequence[Bill], waiting: set[int], now: datetime) -> None:
    """Months with nothing that nothing can reach any more; not those with usage that waits for a price or a decision."""
    EmptyMonth.objects.bulk_create(
        [
            EmptyMonth(tenant=bill.case.tenant, period=bill.case.period, found_at=now)
            for bill in bills
            if now >= bill.case.issue_after + LATEST and not bill.quarantined and bill.case.tenant.pk not in waiting
        ],
        ignore_conflicts=True,
    )


def _periods(tenants: Sequence[Tenant], month: str) -> dict[int, BillingPeriod]:
    stored = {
        period.tenant_id: period
        for period in BillingPeriod.objects.filter(tenant__in=[tenant.pk for tenant in tenants], key=month)
    }
    return {tenant.pk: stored.get(tenant.pk) or periods.period_by_key(tenant, month) for tenant in tenants}
