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
from ..pricing import Adjustment, Line, Rating, charge_name

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)
_SORTED = json.JSONEncoder(sort_keys=True)
_KINDS = {"fee": "monthly fee", "shortfall": "rest of the minimum", "overage": "overage"}


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
    kind, key, _, value, *_ = change.line_key.split("|")
    meter = memo.meters().get(key)
    return InvoiceLine(
        position=position,
        kind="adjustment",
        key=change.line_key,
        origin_period=change.origin,
        meter=key,
        description=f"Adjustment of {origin.number} ({change.origin}): {_name(kind, key, value, meter)}",
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
    return _name(line.kind, line.meter, line.dim_value, meter)


def _name(kind: str, key: str, value: str, meter: Meter | None) -> str:
    """'GPU hours, H100', 'Platform fee: monthly fee', 'Whole bill: overage'."""
    name = meter.name if meter else charge_name(key)
    what = f"{name}, {value}" if value else name
    return f"{what}: {_KINDS[kind]}" if kind in _KINDS else what


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
