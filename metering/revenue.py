"""Revenue, month by month: what was invoiced and what is not yet, less what was credited; and what a call and an inference bring.

All before tax, by currency. A month is each tenant's own; a credit note counts in the month of the invoice that it takes back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import connection
from django.db.models import Sum

from tenants import calendar
from tenants.models import BillingPeriod, Tenant

from . import costs, memo
from .models import CreditNote, Invoice, InvoiceState
from .money import round_half_up

INFERENCE = "ml"
"""The route class whose calls are inferences."""
AT_ONCE = 200
PLACES = 6
ISSUED = (InvoiceState.ISSUED, InvoiceState.PAID)


@dataclass(frozen=True, slots=True)
class Month:
    """One month in one currency. `open` is what has been used and is not invoiced."""

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
    invoiced, invoiced_tenants = _invoiced(tenants, oldest)
    credited = _credited(tenants, oldest)
    calls = _calls(tenants, oldest)
    found = []
    for key in reversed(keys):
        waiting = [tenant for tenant in tenants if (tenant.pk, key) not in invoiced_tenants]
        if key != keys[0]:  # who had no usage in a past month owes nothing that is worth rating it for
            active = {tenant_id for tenant_id, month, _ in calls if month == key} | _active(waiting, key)
            waiting = [tenant for tenant in waiting if tenant.pk in active]
        still_open = _open(waiting, now, key)
        currencies = {currency for month, currency in (*invoiced, *credited) if month == key} | still_open.keys()
        for currency in sorted(currencies):
            mine = {tenant.pk for tenant in tenants if tenant.currency == currency}
            found.append(
                Month(
                    key,
                    currency,
                    invoiced.get((key, currency), Decimal(0)),
                    still_open.get(currency, Decimal(0)),
                    credited.get((key, currency), Decimal(0)),
                    _counted(calls, key, mine, None),
                    _counted(calls, key, mine, INFERENCE),
                )
            )
    return [month for month in found if month.total or month.calls]


def _invoiced(tenants: Sequence[Tenant], oldest: str) -> tuple[dict[tuple[str, str], Decimal], set[tuple[int, str]]]:
    rows = Invoice.objects.filter(
        tenant__in=[tenant.pk for tenant in tenants], state__in=ISSUED, period__key__gte=oldest
    )
    sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    whose = set()
    for tenant_id, key, currency, subtotal in rows.values_list("tenant_id", "period__key", "currency", "subtotal"):
        sums[key, currency] += subtotal
        whose.add((tenant_id, key))
    return sums, whose


def _credited(tenants: Sequence[Tenant], oldest: str) -> dict[tuple[str, str], Decimal]:
    rows = CreditNote.objects.filter(tenant__in=[tenant.pk for tenant in tenants], invoice__period__key__gte=oldest)
    sums = rows.order_by().values_list("invoice__period__key", "currency").annotate(Sum("subtotal"))
    return {(key, currency): subtotal for key, currency, subtotal in sums}


def _open(tenants: Sequence[Tenant], now: datetime, key: str) -> dict[str, Decimal]:
    found: dict[str, Decimal] = defaultdict(Decimal)
    for start in range(0, len(tenants), AT_ONCE):
        for statement in costs.statements(tenants[start : start + AT_ONCE], now, key):
            found[statement.currency] += statement.total.amount
    return {currency: amount for currency, amount in found.items() if amount}


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


def _active(tenants: Sequence[Tenant], key: str) -> set[int]:
    """Tenants with a stored period of that month: without one there was no usage and nobody looked."""
    rows = BillingPeriod.objects.filter(tenant__in=[tenant.pk for tenant in tenants], key=key)
    return set(rows.values_list("tenant_id", flat=True))
