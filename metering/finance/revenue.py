"""Revenue, month by month: what was invoiced and what is not yet, less what was credited; and what a call and an inference bring.

All before tax, by currency. A month is each tenant's own; a credit note counts in the month of the invoice that it takes back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import connection
from django.db.models import Value

from metering import memo
from metering.costing import costs
from metering.costing.rated_usage import month_of
from metering.models import CreditNote, Invoice, InvoiceState
from metering.money import round_half_up
from tenants import calendar, periods
from tenants.models import BillingPeriod, Tenant

from . import unsettled

INFERENCE = "ml"
"""The route class whose calls are inferences."""
AT_ONCE = 2_000
"""Months of tenants that are rated together."""
PLACES = 6
ISSUED = (InvoiceState.ISSUED, InvoiceState.PAID)


@dataclass(frozen=True, slots=True)
class Month:
    """One month in one currency. `open` is what is not invoiced: usage, and what has changed about earlier invoices since."""

    key: str
    currency: str
    invoiced: Decimal
    open: Decimal
    credited: Decimal
    calls: Decimal
    inferences: Decimal

    @property
    def total(self) -> Decimal:
        return self.invoiced + self.open - self.credited

    @property
    def per_call(self) -> Decimal | None:
        """Revenue ÷ API calls; None without calls."""
        return round_half_up(self.total / self.calls, PLACES) if self.calls else None

    @property
    def per_inference(self) -> Decimal | None:
        """Revenue ÷ calls of the class `ml`; None without any."""
        return round_half_up(self.total / self.inferences, PLACES) if self.inferences else None


def months(tenants: Sequence[Tenant], now: datetime, count: int = 12) -> list[Month]:
    """The last `count` months up to the present one (UTC), oldest first; months without anything are left out. Not for a tenant scope."""
    keys = [calendar.month_key("UTC", now)]
    while len(keys) < count:
        keys.append(calendar.previous_month(keys[-1]))
    oldest = keys[-1]
    invoiced, credited, invoiced_tenants = _billed(tenants, oldest)
    calls = _calls(tenants, oldest)
    still_open = _open(tenants, now, keys, invoiced_tenants)
    found = []
    for key in reversed(keys):
        currencies = {currency for month, currency in (*invoiced, *credited, *still_open) if month == key}
        for currency in sorted(currencies):
            mine = {tenant.pk for tenant in tenants if tenant.currency == currency}
            found.append(
                Month(
                    key,
                    currency,
                    invoiced.get((key, currency), Decimal(0)),
                    still_open.get((key, currency), Decimal(0)),
                    credited.get((key, currency), Decimal(0)),
                    _counted(calls, key, mine, None),
                    _counted(calls, key, mine, INFERENCE),
                )
            )
    return [month for month in found if month.total or month.calls]


def _billed(
    tenants: Sequence[Tenant], oldest: str
) -> tuple[dict[tuple[str, str], Decimal], dict[tuple[str, str], Decimal], set[tuple[int, str]]]:
    """Invoiced and credited by month and currency, and which tenants' months are invoiced: one statement for both papers."""
    ids = [tenant.pk for tenant in tenants]
    invoices = Invoice.objects.filter(tenant__in=ids, state__in=ISSUED, period__key__gte=oldest)
    notes = CreditNote.objects.filter(tenant__in=ids, invoice__period__key__gte=oldest)
    invoiced: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    credited: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    whose = set()
    papers = invoices.order_by().values_list(Value(False), "tenant_id", "period__key", "currency", "subtotal")
    more = notes.order_by().values_list(Value(True), "tenant_id", "invoice__period__key", "currency", "subtotal")
    for is_note, tenant_id, key, currency, subtotal in papers.union(more, all=True):
        (credited if is_note else invoiced)[key, currency] += subtotal
        if not is_note:
            whose.add((tenant_id, key))
    return invoiced, credited, whose


def _open(
    tenants: Sequence[Tenant], now: datetime, keys: Sequence[str], invoiced: Collection[tuple[int, str]]
) -> dict[tuple[str, str], Decimal]:
    """By month and currency, what is used and not invoiced. Newest month first in `keys`.

    A past month without a stored period is left out: there was no usage, and nobody looked.
    """
    rows = BillingPeriod.objects.filter(tenant__in=[tenant.pk for tenant in tenants], key__in=keys)
    stored = {(row.tenant_id, row.key): row for row in rows}
    for tenant in tenants:
        if (tenant.pk, keys[0]) not in stored:
            stored[tenant.pk, keys[0]] = periods.period_by_key(tenant, keys[0])
    waiting = [
        (tenant, stored[tenant.pk, key])
        for key in keys
        for tenant in tenants
        if (tenant.pk, key) in stored and (tenant.pk, key) not in invoiced
    ]
    found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    with memo.remembering():
        for start in range(0, len(waiting), AT_ONCE):
            spans = [(tenant, month_of(period)) for tenant, period in waiting[start : start + AT_ONCE]]
            for statement in costs.statements_of_periods(spans, now):
                found[statement.period.key, statement.currency] += statement.total.amount
        for (key, currency), amount in unsettled.by_month(waiting, invoiced).items():
            found[key, currency] += amount
    return {of: amount for of, amount in found.items() if amount}


_Calls = dict[tuple[int, str, str], Decimal]


def _calls(tenants: Sequence[Tenant], oldest: str) -> _Calls:
    """API calls by tenant, month and route class."""
    if "api_calls" not in memo.meters():
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT period.tenant_id, period.key, COALESCE(rollup.dims->>'route_class', ''), sum(rollup.quantity_micro)
            FROM tenants_billingperiod period
            JOIN metering_usagerollup rollup ON rollup.tenant_id = period.tenant_id AND rollup.meter = 'api_calls'
                AND rollup.hour >= period.starts_at AND rollup.hour < period.ends_at
            WHERE period.tenant_id = ANY(%s) AND period.key >= %s GROUP BY 1, 2, 3
            """,
            [[tenant.pk for tenant in tenants], oldest],
        )
        return {(tenant, key, kind): Decimal(micro) / 1_000_000 for tenant, key, kind, micro in cursor.fetchall()}


def _counted(calls: _Calls, key: str, tenants: set[int], kind: str | None) -> Decimal:
    return sum(
        (
            count
            for (tenant, month, route), count in calls.items()
            if month == key and tenant in tenants and kind in (None, route)
        ),
        Decimal(0),
    )
