"""The platform's monthly cost report for finance: sent by mail once a month, when the month is over everywhere and invoiced.

A month is over everywhere at noon UTC of the next month's first day; then the longest grace time passes and the invoices are issued.
Who gets it is FINANCE_REPORT_EMAILS. It can be made again at any time with `manage.py finance_report YYYY-MM`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.conf import settings

from metering import jobs
from metering.costing import costs
from metering.files.exports import csv_rows
from metering.mail.finance import Report, Row, finance_letter
from metering.mail.rendering import Letter
from metering.models import Invoice, InvoiceState
from metering.money import Money, total
from metering.telling import notifications
from tenants import calendar
from tenants.models import Tenant

TASK = "finance report"
LAST_ZONE = timedelta(hours=12)
"""How long after UTC's the last time zone's month ends."""
TENANTS_AT_ONCE = 200
NOT_INVOICED = "no invoice"
COLUMNS = (
    "month", "tenant", "name", "currency", "cost_before_tax", "cost_month_before", "change", "tax", "invoice_total", "credited", "invoice", "state",
)  # fmt: skip


def send_due(now: datetime) -> int:
    """Owe last month's report if it is time for it and nobody has; how many mails are new."""
    month = calendar.previous_month(calendar.month_key("UTC", now))
    if now < due_at(month) or not settings.FINANCE_REPORT_EMAILS:
        return 0
    with jobs.once(TASK, month) as run:
        if run is None:
            return 0
        mails = notifications.owe(
            letter(month, now),
            key=f"finance-report:{month}",
            recipients=settings.FINANCE_REPORT_EMAILS,
            tenant=None,
            now=now,
        )
        run.detail = {"mails": mails}
    return mails


def due_at(month: str) -> datetime:
    """When the report of 'YYYY-MM' is sent: the month is over in every time zone, and its grace time has passed."""
    end = calendar.month_bounds("UTC", month)[1].astimezone(UTC)
    return end + LAST_ZONE + timedelta(hours=settings.INVOICE_GRACE_HOURS + 1)


def letter(month: str, now: datetime) -> Letter:
    """The report of 'YYYY-MM' as it is known now: HTML, text, and a CSV of every tenant."""
    found = report(month, now)
    return finance_letter(found, as_csv(found), now)


def report(month: str, now: datetime) -> Report:
    """Every tenant that cost something in the month or the one before, most first by currency. Raises ValueError for another form."""
    calendar.parse_month(month)
    present, before = _costs(month, now), _costs(calendar.previous_month(month), now)
    invoices = {
        invoice.tenant_id: invoice
        for invoice in Invoice.objects.filter(period__key=month)
        .exclude(state=InvoiceState.VOID)
        .defer("snapshot")
        .prefetch_related("credit_notes")
        .order_by("pk")
    }
    rows = []
    for tenant in Tenant.objects.order_by("pk"):
        cost, last = present[tenant.pk], before[tenant.pk]
        if not cost and not last:
            continue
        invoice = invoices.get(tenant.pk)
        rows.append(
            Row(
                slug=tenant.slug,
                name=tenant.name,
                cost=cost,
                before=last if last.currency == cost.currency else Money.zero(cost.currency),
                tax=Money(invoice.tax, invoice.currency) if invoice else None,
                total=Money(invoice.total, invoice.currency) if invoice else None,
                credited=_credited(invoice) if invoice else None,
                invoice=(invoice.number or "") if invoice else "",
                state=str(invoice.get_state_display()).lower() if invoice else NOT_INVOICED,
            )
        )
    return Report(month, tuple(sorted(rows, key=lambda row: (row.cost.currency, -row.cost.amount, row.slug))))


def as_csv(found: Report) -> str:
    """One line a tenant; amounts are plain decimals, names can be no formulas."""
    rows = [
        (
            found.month, row.slug, row.name, row.cost.currency, row.cost.amount, row.before.amount, row.cost.amount - row.before.amount,
            row.tax.amount if row.tax else None, row.total.amount if row.total else None,
            row.credited.amount if row.credited else None, row.invoice, row.state,
        )
        for row in found.rows
    ]  # fmt: skip
    return "".join(csv_rows(COLUMNS, rows))


def _credited(invoice: Invoice) -> Money:
    """What credit notes have given back of it so far, tax included."""
    return total((Money(note.total, invoice.currency) for note in invoice.credit_notes.all()), invoice.currency)


def _costs(month: str, now: datetime) -> dict[int, Money]:
    found = {}
    tenants = list(Tenant.objects.select_related("tier").order_by("pk"))
    for start in range(0, len(tenants), TENANTS_AT_ONCE):
        for statement in costs.statements(tenants[start : start + TENANTS_AT_ONCE], now, month):
            found[statement.tenant.pk] = statement.total
    return found
