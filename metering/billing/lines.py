"""From rated lines and adjustments to the lines of an invoice, with the explanation that is frozen with them."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

from .. import memo
from ..models import Invoice, InvoiceLine, Meter
from ..money import exact, plain, round_line
from ..pricing import Adjustment, Line, Rating

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)
_SORTED = json.JSONEncoder(sort_keys=True)


def canonical(document: Any) -> str:
    """One text for one document: sorted keys, no spaces, non-ASCII as it is."""
    return _CANONICAL.encode(document)


def digest(text: str) -> str:
    """SHA-256 of a canonical text."""
    return hashlib.sha256(text.encode()).hexdigest()


def lines_of(rating: Rating) -> list[InvoiceLine]:
    """The rating's lines as unsaved invoice lines: what a preview shows is what a draft holds."""
    meters = memo.meters()
    return [_usage_line(line, meters, position) for position, line in enumerate(rating.lines, start=1)]


def calculation(line: InvoiceLine, currency: str) -> list[str]:
    """What the face of an invoice says under a line whose quantity × unit price is not its amount; nothing where it is."""
    if line.unit_price is not None:
        product = exact(Decimal(line.quantity)) * exact(line.unit_price)
        if round_line(product, currency).amount == line.amount:
            return []
    return list(line.detail.get("explanation", []))


def adjustment_line(origin: Invoice, change: Adjustment, position: int) -> InvoiceLine:
    """The line that settles what an earlier invoice's line has become. It names both."""
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


def _usage_line(line: Line, meters: dict[str, Meter], position: int) -> InvoiceLine:
    meter = meters.get(line.meter)
    detail = _detail(line)
    return InvoiceLine(
        position=position,
        kind=line.kind,
        key=detail["key"],
        meter=line.meter,
        description=_describe(line, meter),
        quantity=detail["quantity"],
        unit=_unit(line, meter),
        unit_price=line.unit_price,
        amount=line.amount.amount,
        detail=detail,
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
        return line.parts[0].reason.partition(" ")[2]
    return meter.billing_unit if meter and line.kind == "usage" else ""


def _detail(line: Line) -> dict[str, Any]:
    """The explanation to freeze. Segments are summed by dimensions and sealed with a digest: the hours stay in the rollups."""
    whole = line.as_dict()
    segments = whole.pop("segments")
    by_dims: dict[str, Fraction] = {}
    for segment in line.segments:
        name = _SORTED.encode(segment.dims) if segment.dims else "{}"
        by_dims[name] = by_dims.get(name, Fraction(0)) + segment.quantity
    return {
        **whole,
        "explanation": line.explanation(),
        "usage": [
            {"dims": json.loads(name), "quantity": plain(quantity)} for name, quantity in sorted(by_dims.items())
        ],
        "evidence": {"segments": len(segments), "sha256": digest(_SORTED.encode(segments))},
    }
