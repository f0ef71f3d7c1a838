"""Drafts into the database, many at a time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.db import connection

from ..models import Invoice, InvoiceLine

if TYPE_CHECKING:
    from .drafting import Bill


def write(bills: Sequence[Bill], before: Mapping[int, str]) -> None:
    """Write filled bills. `before` has the content digests of the stored drafts by tenant id: lines that stay are not touched."""
    new = [bill for bill in bills if bill.case.tenant.pk not in before]
    stored = [bill for bill in bills if bill.case.tenant.pk in before]
    changed = [bill for bill in stored if _of(bill).content != before[bill.case.tenant.pk]]
    Invoice.objects.bulk_create([_of(bill) for bill in new])
    if stored:
        _update([_of(bill) for bill in stored])
    if changed:
        InvoiceLine.objects.filter(invoice__in=[_of(bill).pk for bill in changed])._raw_delete(using=connection.alias)
    _insert_lines([*new, *changed])


def issue(invoices: Sequence[Invoice]) -> None:
    """Freeze drafts that have their numbers, snapshots and hashes."""
    rows = [
        (
            each.pk,
            each.state,
            str(each.issued_at),
            str(each.due_on),
            each.sequence,
            each.number,
            each.snapshot,
            each.previous_hash,
            each.hash,
        )
        for each in invoices
    ]
    with connection.cursor() as cursor:
        cursor.execute(_ISSUE, [_as_json(rows)])


def remove(bills: Sequence[Bill]) -> None:
    """Delete drafts that have become empty."""
    if bills:
        gone = [_of(bill).pk for bill in bills]
        InvoiceLine.objects.filter(invoice__in=gone)._raw_delete(using=connection.alias)
        Invoice.objects.filter(pk__in=gone)._raw_delete(using=connection.alias)
    for bill in bills:
        bill.invoice = None


def _of(bill: Bill) -> Invoice:
    if bill.invoice is None:
        raise ValueError("This bill has no invoice.")
    return bill.invoice


def _update(invoices: Sequence[Invoice]) -> None:
    rows = [
        (each.pk, each.entity_id, each.issue_after, each.currency, each.computed_at, each.subtotal, each.tax, each.total, each.content)
        for each in invoices
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_UPDATE, list(map(list, zip(*rows, strict=True))))


def _insert_lines(bills: Sequence[Bill]) -> None:
    rows = [
        (
            _of(bill).pk, bill.case.tenant.pk, line.position, line.kind, line.key, line.origin_period, line.meter, line.description,
            str(line.quantity), line.unit, None if line.unit_price is None else str(line.unit_price), str(line.amount), detail,
        )
        for bill in bills
        for line, detail in zip(bill.lines, bill.details, strict=True)
    ]  # fmt: skip
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(_INSERT_LINES, [_as_json(rows)])


def _as_json(rows: Sequence[tuple[Any, ...]]) -> str:
    """Rows as one parameter: long texts are escaped many times faster in it than in arrays."""
    return json.dumps(rows, ensure_ascii=False)


_UPDATE = """
    UPDATE metering_invoice invoice
    SET entity_id = new.entity_id, issue_after = new.issue_after, currency = new.currency, computed_at = new.computed_at,
        subtotal = new.subtotal, tax = new.tax, total = new.total, content = new.content
    FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[], %s::text[], %s::timestamptz[], %s::numeric[], %s::numeric[], %s::numeric[], %s::text[])
        AS new (id, entity_id, issue_after, currency, computed_at, subtotal, tax, total, content)
    WHERE invoice.id = new.id
"""
_ISSUE = """
    UPDATE metering_invoice invoice
    SET state = new.state, issued_at = new.issued_at, due_on = new.due_on, sequence = new.sequence, number = new.number, snapshot = new.snapshot,
        previous_hash = new.previous_hash, hash = new.hash
    FROM (
        SELECT (row->>0)::bigint AS id, row->>1 AS state, (row->>2)::timestamptz AS issued_at, (row->>3)::date AS due_on,
               (row->>4)::int AS sequence, row->>5 AS number, row->>6 AS snapshot, row->>7 AS previous_hash, row->>8 AS hash
        FROM jsonb_array_elements(%s::jsonb) AS row
    ) new
    WHERE invoice.id = new.id
"""
_INSERT_LINES = """
    INSERT INTO metering_invoiceline
        (invoice_id, tenant_id, position, kind, key, origin_period, meter, description, quantity, unit, unit_price, amount, detail)
    SELECT (row->>0)::bigint, (row->>1)::bigint, (row->>2)::smallint, row->>3, row->>4, row->>5, row->>6, row->>7,
           (row->>8)::numeric, row->>9, (row->>10)::numeric, (row->>11)::numeric, (row->>12)::jsonb
    FROM jsonb_array_elements(%s::jsonb) AS row
"""
