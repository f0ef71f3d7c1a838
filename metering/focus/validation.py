"""Does a file keep FOCUS 1.2's rules? PURE. Every breach is found and named; a file without any yields nothing.

Rules that a file can be judged by on its own: presence, nulls, types, allowed values, conditions between columns, cost relations; and,
where the caller says what invoices came to, Σ BilledCost of each invoice.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from .columns import COLUMNS, MANDATORY, SKU_PROPERTIES, SUBCATEGORIES

_BY_NAME: Final = {column.name: column for column in COLUMNS}
_NUMBER: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:E-?[0-9]+)?", re.ASCII)
_INSTANT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", re.ASCII)
_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_PRICED: Final = frozenset({"Usage", "Purchase"})

Cells = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Finding:
    """A breach. `line` is the line of the file (the header is 1; 0 for the whole file), `rule` a stable code."""

    line: int
    column: str
    rule: str
    message: str

    def __str__(self) -> str:
        where = f"line {self.line}" if self.line else "file"
        return f"{where}, {self.column}: {self.message} [{self.rule}]"


def validate(
    header: Sequence[str], rows: Iterable[Sequence[str]], invoices: Mapping[str, Decimal] | None = None
) -> Iterator[Finding]:
    """Check a table of text cells. `invoices` maps InvoiceId to what the document came to; "" to what has no invoice."""
    yield from _header(header)
    if set(header) & set(MANDATORY) != set(MANDATORY) or len(set(header)) < len(header):
        return  # without its columns a row cannot be judged
    whole = _Whole()
    for line, row in enumerate(rows, start=2):
        if len(row) != len(header):
            yield Finding(line, "", "width", f"{len(row)} cells instead of {len(header)}")
            continue
        cells = dict(zip(header, row, strict=True))
        broken = set()
        for finding in _cells(line, cells):
            broken.add(finding.column)
            yield finding
        for column, rule, message in _conditions(cells, broken):
            yield Finding(line, column, rule, message)
        for column, rule, message in whole.add(cells, broken):
            yield Finding(line, column, rule, message)
    yield from whole.sums(invoices)


def _header(header: Sequence[str]) -> Iterator[Finding]:
    for name in MANDATORY:
        if name not in header:
            yield Finding(1, name, "missing-column", "a mandatory column is missing")
    custom = False
    for position, name in enumerate(header):
        if name in header[:position]:
            yield Finding(1, name, "duplicate-column", "the column comes twice")
        if name.startswith("x_"):
            custom = True
        elif name not in _BY_NAME:
            yield Finding(1, name, "unknown-column", "not a column of FOCUS 1.2; a custom one begins with x_")
        elif custom:
            yield Finding(1, name, "column-order", "FOCUS columns come before custom ones")


# ----------------------------------------------------------------------------------------------------------------- cells


def _cells(line: int, cells: Cells) -> Iterator[Finding]:
    for name, value in cells.items():
        column = _BY_NAME.get(name)
        if column is None:
            continue
        if value == "":
            if not column.nullable:
                yield Finding(line, name, "null", "must not be null")
            continue
        if column.nullable and not value.strip():
            yield Finding(line, name, "blank", "spaces do not stand for null")
        elif not value.strip():
            yield Finding(line, name, "null", "must not be blank")
        elif column.allowed and value not in column.allowed:
            yield Finding(line, name, "allowed-value", f"{value!r} is not one of: {', '.join(sorted(column.allowed))}")
        elif problem := _TYPES[column.kind](name, value):
            yield Finding(line, name, *problem)


def _number(name: str, value: str) -> tuple[str, str] | None:
    return None if _NUMBER.fullmatch(value) else ("type-decimal", f"{value!r} is not a number as FOCUS writes them")


def _price(name: str, value: str) -> tuple[str, str] | None:
    if problem := _number(name, value):
        return problem
    return ("negative-price", f"{value} is negative") if Decimal(value) < 0 else None


def _moment(name: str, value: str) -> tuple[str, str] | None:
    if _INSTANT.fullmatch(value):
        try:
            datetime.fromisoformat(value)
        except ValueError:
            return "type-instant", f"{value!r} is no date"
        return None
    return "type-instant", f"{value!r} is not YYYY-MM-DDTHH:mm:ssZ in UTC"


def _currency(name: str, value: str) -> tuple[str, str] | None:
    return None if _CURRENCY.fullmatch(value) else ("type-currency", f"{value!r} is not an ISO 4217 code")


def _pairs(name: str, value: str) -> tuple[str, str] | None:
    keys: list[str] = []

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys.extend(key for key, _ in pairs)
        return dict(pairs)

    try:
        found = json.loads(value, object_pairs_hook=collect)
    except (ValueError, RecursionError):
        return "type-pairs", "not a JSON object"
    if not isinstance(found, dict):
        return "type-pairs", "not a JSON object"
    if any(isinstance(each, dict | list) for each in found.values()):
        return "type-pairs", "values are numbers, strings, true, false or null"
    if len(keys) != len(set(keys)):
        return "type-pairs", "a key comes twice"
    if name == "SkuPriceDetails" and (odd := [key for key in keys if key not in SKU_PROPERTIES and key[:2] != "x_"]):
        return "sku-property", f"{odd[0]!r} is not a property of FOCUS; a custom one begins with x_"
    return None


def _text(name: str, value: str) -> tuple[str, str] | None:
    return None


_TYPES: Final[Mapping[str, Callable[[str, str], tuple[str, str] | None]]] = {
    "text": _text,
    "decimal": _number,
    "price": _price,
    "instant": _moment,
    "currency": _currency,
    "pairs": _pairs,
}


# ------------------------------------------------------------------------------------------------------------ conditions

Breach = tuple[str, str, str]


def _conditions(cells: Cells, broken: set[str]) -> Iterator[Breach]:
    """Rules between the columns of one row; what is broken already is not judged again."""
    category, correction = cells["ChargeCategory"], cells["ChargeClass"] == "Correction"
    yield from _spans(cells, broken)
    if not broken & {"ChargeCategory", "ChargeClass"}:
        for name in (
            "ContractedUnitPrice",
            "ListUnitPrice",
            "PricingCategory",
            "PricingQuantity",
            "SkuId",
            "SkuPriceId",
        ):
            if name in cells:
                yield from _due(name, cells[name], category, correction)
        yield from _consumed(cells, category, correction)
        if category == "Purchase" and cells.get("ChargeFrequency") == "Usage-Based":
            yield "ChargeFrequency", "frequency", "a purchase is not usage-based"
    for quantity, unit in (("PricingQuantity", "PricingUnit"), ("ConsumedQuantity", "ConsumedUnit")):
        if quantity in cells and unit in cells and bool(cells[quantity]) != bool(cells[unit]):
            yield unit, "unit-with-quantity", f"{unit} is null exactly where {quantity} is"
    for dependent, name in (("SkuMeter", "SkuId"), ("SkuPriceDetails", "SkuPriceId")):
        if cells.get(dependent) and name in cells and not cells[name]:
            yield dependent, "sku-parts", f"{dependent} is null where {name} is"
    subcategory = cells.get("ServiceSubcategory")
    known = subcategory and not broken & {"ServiceCategory", "ServiceSubcategory"}
    if known and subcategory not in SUBCATEGORIES[cells["ServiceCategory"]]:
        yield "ServiceSubcategory", "subcategory", f"{subcategory!r} is not of {cells['ServiceCategory']!r}"
    yield from _costs(cells, broken, category, correction)


def _spans(cells: Cells, broken: set[str]) -> Iterator[Breach]:
    for kind in ("BillingPeriod", "ChargePeriod"):
        start, end = f"{kind}Start", f"{kind}End"
        if not broken & {start, end} and cells[start] >= cells[end]:
            yield end, "period-order", f"{end} is exclusive and lies after {start}"


def _due(name: str, value: str, category: str, correction: bool) -> Iterator[Breach]:
    if category == "Tax" and value:
        yield name, "null-for-tax", "must be null for tax"
    if category in _PRICED and not correction and not value:
        yield name, "price-missing", "must not be null for usage and purchases"


def _consumed(cells: Cells, category: str, correction: bool) -> Iterator[Breach]:
    value = cells.get("ConsumedQuantity")
    if value is None:
        return
    unused = cells.get("CommitmentDiscountStatus") == "Unused"
    if value and (category != "Usage" or unused):
        yield "ConsumedQuantity", "consumed", "must be null where nothing is consumed"
    if not value and category == "Usage" and not unused and not correction:
        yield "ConsumedQuantity", "consumed", "must not be null for usage"


def _costs(cells: Cells, broken: set[str], category: str, correction: bool) -> Iterator[Breach]:
    billed = cells["BilledCost"]
    for price, cost in (("ContractedUnitPrice", "ContractedCost"), ("ListUnitPrice", "ListCost")):
        if broken & {price, cost, "PricingQuantity", "BilledCost"}:
            continue
        unit, quantity = cells.get(price), cells["PricingQuantity"]
        if unit and quantity:
            if not correction and Decimal(unit) * Decimal(quantity) != Decimal(cells[cost]):
                yield cost, "cost-product", f"{price} × PricingQuantity is {Decimal(unit) * Decimal(quantity):f}"
        elif not unit and category in {"Credit", "Adjustment"} and Decimal(cells[cost]) != Decimal(billed):
            yield cost, "cost-alone", "without a unit price it matches BilledCost"
    alone = category in {"Credit", "Adjustment"} and not broken & {"EffectiveCost", "BilledCost"}
    if alone and Decimal(cells["EffectiveCost"]) != Decimal(billed):
        yield "EffectiveCost", "effective-cost", "matches BilledCost where nothing is amortised"


class _Whole:
    """What only the whole file shows: names with two meanings, and what invoices add up to."""

    def __init__(self) -> None:
        self._categories: dict[str, str] = {}
        self._skus: dict[str, str] = {}
        self._currencies: dict[str, str] = {}
        self._billed: dict[str, Decimal] = defaultdict(Decimal)

    def add(self, cells: Cells, broken: set[str]) -> Iterator[Breach]:
        """Remember the row."""
        service, category = cells["ServiceName"], cells["ServiceCategory"]
        if self._categories.setdefault(service, category) != category:
            yield "ServiceCategory", "service-category", f"{service!r} is also of {self._categories[service]!r}"
        price, sku = cells.get("SkuPriceId"), cells.get("SkuId", "")
        if price and self._skus.setdefault(price, sku) != sku:
            yield "SkuPriceId", "sku-parent", f"{price!r} also belongs to SKU {self._skus[price]!r}"
        invoice, currency = cells.get("InvoiceId", ""), cells["BillingCurrency"]
        if invoice and self._currencies.setdefault(invoice, currency) != currency:
            yield "BillingCurrency", "invoice-currency", f"{invoice} is billed in {self._currencies[invoice]}"
        if "BilledCost" not in broken:
            self._billed[invoice] += Decimal(cells["BilledCost"])

    def sums(self, invoices: Mapping[str, Decimal] | None) -> Iterator[Finding]:
        """Compare with what the documents say."""
        if invoices is None:
            return
        for invoice in sorted(self._billed.keys() | invoices.keys()):
            name = invoice or "what is not invoiced"
            expected, billed = invoices.get(invoice), self._billed.get(invoice, Decimal(0))
            if expected is None:
                if invoice:
                    yield Finding(0, "InvoiceId", "invoice-unknown", f"there is no document {name}")
            elif billed != expected:
                yield Finding(0, "BilledCost", "invoice-sum", f"{name} came to {expected:f}, the rows to {billed:f}")
