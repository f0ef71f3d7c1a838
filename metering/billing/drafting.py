"""Drafts: a period's lines as they are known now, recomputed as often as anyone asks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from tenants.models import BillingPeriod, Tenant

from .. import costs, gap_shares, memo
from ..models import BillingProfile, Invoice, InvoiceLine, InvoiceState, Meter, PriceBookVersion, UsageRollup
from ..money import Money, plain
from ..pricing import Adjustment, Line, Rating, adjust, tax
from .parties import entity_for, grace_of, profile_of, tax_rate_for, tax_rule

LOOK_BACK = timedelta(days=120)
"""Issued periods older than this take no more adjustments: the ledger refuses events that are older than 35 days anyway."""
IN_FLIGHT = timedelta(hours=1)
"""A rollup that was computed just before the invoice may have been committed just after it."""


class PeriodOpenError(ValueError):
    """The period has not ended yet."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An invoice, locked until the transaction ends, with the rating that its draft was just written from."""

    invoice: Invoice
    rating: Rating
    has_lines: bool


def draft(tenant: Tenant, period: BillingPeriod, now: datetime) -> Invoice:
    """The period's invoice: made as a draft, or recomputed while it is one; an issued one comes back as it is.

    Raises PeriodOpenError before the period's end, NoEntityError when nobody is set up to invoice.
    """
    return prepare(tenant, period, now).invoice


@transaction.atomic
def prepare(tenant: Tenant, period: BillingPeriod, now: datetime) -> Prepared:
    """`draft` with what issuing needs of it, so that nothing is rated twice."""
    if now < period.ends_at:
        raise PeriodOpenError(
            f"{period.key} ends at {period.ends_at:%Y-%m-%d %H:%M} UTC; it cannot be invoiced before."
        )
    profile = profile_of(tenant)
    entity = entity_for(profile)
    rating = costs.rating(tenant, period)
    invoice, _ = Invoice.objects.get_or_create(
        tenant=tenant,
        period=period,
        state__in=[InvoiceState.DRAFT, InvoiceState.ISSUED, InvoiceState.PAID],
        defaults={
            "state": InvoiceState.DRAFT,
            "entity": entity,
            "currency": rating.currency,
            "issue_after": period.ends_at + grace_of(entity),
        },
    )
    invoice = (
        Invoice.objects.select_for_update(of=("self",)).select_related("tenant", "period", "entity").get(pk=invoice.pk)
    )
    if invoice.state == InvoiceState.DRAFT:
        invoice.entity, invoice.issue_after = entity, period.ends_at + grace_of(entity)
        count = _write(invoice, rating, list(_adjustments(tenant, period)), profile, now)
        return Prepared(invoice, rating, count > 0)
    return Prepared(invoice, rating, has_lines=True)


def lines_of(rating: Rating) -> list[InvoiceLine]:
    """The rating's lines as unsaved invoice lines: what a preview shows is what a draft holds."""
    meters = memo.meters()
    return [_usage_line(line, meters, position) for position, line in enumerate(rating.lines, start=1)]


def _write(
    invoice: Invoice,
    rating: Rating,
    adjustments: list[tuple[Invoice, Adjustment]],
    profile: BillingProfile,
    now: datetime,
) -> int:
    lines = lines_of(rating)
    lines += [
        _adjustment_line(origin, change, len(lines) + n) for n, (origin, change) in enumerate(adjustments, start=1)
    ]
    subtotal = sum((Money(line.amount, rating.currency) for line in lines), Money.zero(rating.currency))
    taxed = tax(subtotal, tax_rule(tax_rate_for(profile)))
    invoice.lines.all().delete()
    for line in lines:
        line.invoice, line.tenant = invoice, invoice.tenant
    InvoiceLine.objects.bulk_create(lines)
    invoice.currency, invoice.computed_at = rating.currency, now
    invoice.subtotal, invoice.tax, invoice.total = taxed.subtotal.amount, taxed.tax.amount, taxed.total.amount
    invoice.save(update_fields=["entity", "issue_after", "currency", "computed_at", "subtotal", "tax", "total"])
    return len(lines)


def _adjustments(tenant: Tenant, period: BillingPeriod) -> Iterable[tuple[Invoice, Adjustment]]:
    """What late events, corrections, decisions about gaps and back-dated prices have changed in periods that are invoiced already."""
    issued = Invoice.objects.filter(
        tenant=tenant,
        state__in=[InvoiceState.ISSUED, InvoiceState.PAID],
        period__starts_at__lt=period.starts_at,
        period__ends_at__gte=period.starts_at - LOOK_BACK,
    )
    for invoice in issued.select_related("period", "tenant").order_by("period__starts_at"):
        if _has_changed(invoice):
            for change in adjust(settled_amounts(invoice), costs.rating(tenant, invoice.period)):
                yield invoice, change


def _has_changed(invoice: Invoice) -> bool:
    """Whether anything that the issued invoice follows from has changed since: usage, a gap, or prices published after the fact."""
    since, period = invoice.computed_at - IN_FLIGHT, invoice.period
    touched = UsageRollup.objects.filter(
        tenant=invoice.tenant_id, hour__gte=period.starts_at, hour__lt=period.ends_at, updated_at__gte=since
    )
    return (
        touched.exists()
        or gap_shares.changed_since(invoice.tenant, period, since)
        or PriceBookVersion.objects.filter(starts_at__lt=period.ends_at, published_at__gte=since).exists()
    )


def settled_amounts(invoice: Invoice) -> dict[str, Money]:
    """What each line of the invoice's period has been invoiced at so far: its own lines and all adjustments issued since."""
    amounts = {line.key: Money(line.amount, invoice.currency) for line in invoice.lines.filter(origin_period="")}
    later = InvoiceLine.objects.filter(
        tenant_id=invoice.tenant_id,
        origin_period=invoice.period.key,
        invoice__state__in=[InvoiceState.ISSUED, InvoiceState.PAID],
    )
    for line in later:
        amounts[line.key] = amounts.get(line.key, Money.zero(invoice.currency)) + Money(line.amount, invoice.currency)
    return amounts


def _usage_line(line: Line, meters: dict[str, Meter], position: int) -> InvoiceLine:
    meter = meters.get(line.meter)
    return InvoiceLine(
        position=position,
        kind=line.kind,
        key=line.key,
        meter=line.meter,
        description=_describe(line, meter),
        quantity=plain(line.quantity),
        unit=_unit(line, meter),
        unit_price=line.unit_price,
        amount=line.amount.amount,
        detail=_detail(line),
    )


def _describe(line: Line, meter: Meter | None) -> str:
    name = meter.name if meter else line.meter or "Everything"
    what = f"{name}, {line.dim_value}" if line.dim_value else name
    return {
        "usage": what,
        "fee": f"{what}: monthly fee",
        "shortfall": f"{what}: rest of the minimum",
        "overage": f"{what}: overage",
    }[line.kind]


def _unit(line: Line, meter: Meter | None) -> str:
    if line.kind == "fee":
        return "day"
    return meter.billing_unit if meter and line.kind == "usage" else ""


def _detail(line: Line) -> dict[str, Any]:
    """The explanation to freeze. Segments are summed by dimensions and sealed with a digest: the hours stay in the rollups."""
    whole = line.as_dict()
    segments = whole.pop("segments")
    by_dims: dict[str, Any] = {}
    for segment in line.segments:
        name = json.dumps(dict(segment.dims), sort_keys=True)
        by_dims[name] = by_dims.get(name, 0) + segment.quantity
    return {
        **whole,
        "explanation": line.explanation(),
        "usage": [
            {"dims": json.loads(name), "quantity": plain(quantity)} for name, quantity in sorted(by_dims.items())
        ],
        "evidence": {
            "segments": len(segments),
            "sha256": hashlib.sha256(json.dumps(segments, sort_keys=True).encode()).hexdigest(),
        },
    }


def _adjustment_line(origin: Invoice, change: Adjustment, position: int) -> InvoiceLine:
    kind, meter, _, value, *_ = change.line_key.split("|")
    return InvoiceLine(
        position=position,
        kind="adjustment",
        key=change.line_key,
        origin_period=change.origin,
        meter=meter,
        description=f"Adjustment of {origin.number} ({change.origin}): {meter}{', ' + value if value else ''} {kind}",
        quantity=1,
        amount=change.amount.amount,
        detail={
            "origin": {"invoice": origin.number, "period": change.origin, "line": change.line_key},
            "before": change.before.decimal_string(),
            "after": change.after.decimal_string(),
            "explanation": [
                f"Late usage, a correction, a gap or a price published after the fact changed {change.origin}: {change.before} was invoiced, {change.after} is due, "
                f"{change.amount} remains."
            ],
        },
    )
