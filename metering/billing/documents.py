"""Invoices and credit notes as PDF, CSV, XLSX and JSON, from the frozen snapshot alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.template.loader import render_to_string

from metering.files import exports
from tenants import access

from ..mail import wording
from ..models import CreditNote, Invoice, InvoiceDocument, InvoiceState
from ..money import Money

CONTENT_TYPES = {
    "pdf": "application/pdf",
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "json": "application/json",
}
COLUMNS = (
    "position",
    "kind",
    "meter",
    "description",
    "quantity",
    "unit",
    "unit_price",
    "amount",
    "currency",
    "origin_period",
    "calculation",
)


class NotIssuedError(ValueError):
    """Only an issued document has a form to download."""


class PdfUnavailableError(RuntimeError):
    """The text-layout library that draws PDFs is not installed on this machine."""


@dataclass(frozen=True, slots=True)
class Document:
    """A file to hand out."""

    filename: str
    content_type: str
    content: bytes
    sha256: str


def document(source: Invoice | CreditNote, kind: str) -> Document:
    """The document as `kind` (pdf, csv, xlsx, json). An invoice's PDF is drawn once and kept: its bytes never change.

    Raises NotIssuedError for a draft, KeyError for another kind, PdfUnavailableError where PDFs cannot be drawn.
    """
    if not source.snapshot:
        raise NotIssuedError("This invoice is a draft. It can be downloaded once it is issued.")
    snapshot = json.loads(source.snapshot)
    if kind == "pdf" and isinstance(source, Invoice):
        content = _kept_pdf(source, snapshot)
    else:
        content = {"pdf": _pdf, "csv": _csv, "xlsx": _xlsx, "json": lambda _: source.snapshot.encode()}[kind](snapshot)
    return Document(f"{snapshot['number']}.{kind}", CONTENT_TYPES[kind], content, hashlib.sha256(content).hexdigest())


def _kept_pdf(invoice: Invoice, snapshot: dict[str, Any]) -> bytes:
    kept = InvoiceDocument.objects.filter(invoice=invoice, kind="pdf").first()
    if kept is None:
        content = _pdf(snapshot)
        # Tenants read documents and never write them; this one is drawn for them on their first reading.
        with access.platform_scope():
            InvoiceDocument.objects.bulk_create(
                [
                    InvoiceDocument(
                        invoice=invoice,
                        tenant_id=invoice.tenant_id,
                        kind="pdf",
                        content=content,
                        sha256=hashlib.sha256(content).hexdigest(),
                    )
                ],
                ignore_conflicts=True,  # two readers at once: the first bytes stay
            )
        kept = InvoiceDocument.objects.get(invoice=invoice, kind="pdf")
    return bytes(kept.content)


def html(snapshot: dict[str, Any], *, state: str = InvoiceState.ISSUED) -> str:
    """The printable page of a snapshot."""
    zone = ZoneInfo(snapshot["period"]["time_zone"])
    start, end = (datetime.fromisoformat(snapshot["period"][edge]).astimezone(zone) for edge in ("start", "end"))
    context = {
        "document": snapshot,
        "state": state,
        "first_day": start.date(),
        "last_day": (end - timedelta(seconds=1)).date(),
        "issued_on": datetime.fromisoformat(snapshot["issued_at"]).astimezone(zone).date(),
        "due_on": date.fromisoformat(snapshot["due_on"]) if snapshot.get("due_on") else None,
        "tax_label": _tax_label(snapshot),
        "lines": [_face(line, snapshot["currency"]) for line in snapshot.get("lines", [])],
        "gaps": [{**gap, **_edges(gap, zone)} for gap in snapshot.get("gaps", [])],
        **{name: f"{Decimal(snapshot[name]):,}" for name in ("subtotal", "tax", "total")},
    }
    return render_to_string(f"invoices/{snapshot['document']}.html", context)


def _tax_label(snapshot: dict[str, Any]) -> str:
    """'VAT (8.1 %)'; the rate is not said twice where the rule's name has it, nor where none is charged."""
    rule = snapshot["tax_rule"]
    if not rule:
        return "Tax"
    percent = f"{(Decimal(rule['rate']) * 100).normalize():f} %"
    said = percent.replace(" ", "") in rule["name"].replace(" ", "")
    return str(rule["name"]) if said or rule["reverse_charge"] else f"{rule['name']} ({percent})"


def _face(line: dict[str, Any], currency: str) -> dict[str, Any]:
    """A line as it is printed: thousands apart, units in words, the arithmetic where quantity × price does not make the amount."""
    quantity, unit = Decimal(line["quantity"]), line["unit"]
    words = wording.WORDS.get(unit, (unit, unit))[quantity != 1]
    return {
        "description": line["description"],
        "quantity": f"{quantity.normalize():,f} {words}".strip(),
        "unit_price": "" if line["unit_price"] is None else f"{Decimal(line['unit_price']):,f}",
        "amount": f"{Money(Decimal(line['amount']), currency).amount:,f}",
        "steps": line["detail"].get("explanation", []),
    }


def _edges(gap: dict[str, Any], zone: ZoneInfo) -> dict[str, str]:
    """When a gap began and ended, written as every date of the document and in the zone of its period; '' while it is open."""
    said = {}
    for edge in ("from", "to"):
        local = datetime.fromisoformat(gap[edge]).astimezone(zone) if gap[edge] else None
        said[edge] = f"{local.day} {local:%B %Y, %H:%M}" if local else ""
    return said


def _pdf(snapshot: dict[str, Any]) -> bytes:
    try:
        # Imported here because it loads Pango by its C library: where that is missing, everything but PDFs still works.
        from weasyprint import HTML
        from weasyprint.urls import URLFetcher
    except (ImportError, OSError) as error:
        raise PdfUnavailableError(
            "PDFs need the Pango library. Install it (Debian: libpango-1.0-0 libpangoft2-1.0-0) and restart."
        ) from error
    fetcher = URLFetcher(allowed_protocols=("data",))
    return HTML(string=html(snapshot), url_fetcher=fetcher).write_pdf()  # type: ignore[no-any-return]


def _table(snapshot: dict[str, Any]) -> Iterator[list[exports.Cell]]:
    for line in snapshot.get("lines", []):
        numbers = {name: Decimal(line[name]) for name in ("quantity", "unit_price", "amount") if line[name] is not None}
        steps = "; ".join(line["detail"].get("explanation", []))
        whole = {**line, "unit_price": None, **numbers, "currency": snapshot["currency"], "calculation": steps}
        yield [whole[column] for column in COLUMNS]
    for name in ("subtotal", "tax", "total"):
        summary: dict[str, exports.Cell] = {
            "kind": name,
            "description": name.capitalize(),
            "amount": Decimal(snapshot[name]),
            "currency": snapshot["currency"],
        }
        yield [summary.get(column) for column in COLUMNS]


def _csv(snapshot: dict[str, Any]) -> bytes:
    return "".join(exports.csv_rows(COLUMNS, _table(snapshot))).encode()


def _xlsx(snapshot: dict[str, Any]) -> bytes:
    return exports.xlsx(snapshot["number"], COLUMNS, _table(snapshot))
