"""What has changed about invoices since they were issued and is not settled yet, by the month whose invoice will settle it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from metering import memo
from metering.billing.adjusting import adjustments_of
from tenants.models import BillingPeriod, Tenant

AT_ONCE = 500


def by_month(
    waiting: Iterable[tuple[Tenant, BillingPeriod]], invoiced: Iterable[tuple[int, str]]
) -> dict[tuple[str, str], Decimal]:
    """By month and currency: the first month after an invoiced one that still waits for its invoice settles what changed about it.

    `waiting` are tenants' periods without an issued invoice, `invoiced` (tenant id, month) of those with one. Not for a tenant scope.
    """
    months: Mapping[int, list[str]] = defaultdict(list)
    for tenant_id, key in invoiced:
        months[tenant_id].append(key)
    by_key: dict[str, list[tuple[Tenant, BillingPeriod]]] = defaultdict(list)
    since: dict[tuple[int, str], str] = {}
    last: dict[int, str] = {}
    for tenant, period in sorted(waiting, key=lambda pair: pair[1].key):
        before = last.get(tenant.pk, "")
        if any(before < key < period.key for key in months[tenant.pk]):
            by_key[period.key].append((tenant, period))
            since[tenant.pk, period.key] = before
        last[tenant.pk] = period.key
    found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for key, some in by_key.items():
        for start in range(0, len(some), AT_ONCE):
            _add(found, key, some[start : start + AT_ONCE], since)
    return found


def _add(
    found: dict[tuple[str, str], Decimal],
    key: str,
    some: Sequence[tuple[Tenant, BillingPeriod]],
    since: Mapping[tuple[int, str], str],
) -> None:
    with memo.remembering():
        changed = adjustments_of(some)
    for tenant_id, changes in changed.by_tenant.items():
        for origin, change in changes:
            if origin.period.key > since[tenant_id, key]:
                found[key, change.amount.currency] += change.amount.amount
