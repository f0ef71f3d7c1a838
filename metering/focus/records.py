"""Bills as FOCUS rows. PURE: what a bill is made of comes in as plain values.

A charge's parts carry exact unit prices; what they come to is rounded once for the line. So ContractedCost is unit price × quantity,
and BilledCost the part's share of the rounded line: the shares add up to the invoice, to the cent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, TypeAlias

from ..money import Money, exact, round_half_up

Row: TypeAlias = dict[str, str | Decimal | None]
"""A row by column; None is null."""

_PLACES: Final = 9
_SERVICES: Final = {
    "api_calls": ("AI and Machine Learning", "AI Platforms"),
    "gpu_hours": ("Compute", "Other (Compute)"),
    "storage_gb": ("Storage", "Other (Storage)"),
}
_ELSEWHERE: Final = ("Other", "Other (Other)")
_UNITS: Final = {
    "call": "Requests",
    "GPU hour": "GPU-Hours",
    "GB-month": "GB-Months",
    "hour": "Hours",
    "token": "Tokens",
}
_PACKAGES: Final = "packages of "
_DETAIL_KEYS: Final = {"storage_class": "StorageClass", "class": "StorageClass"}


@dataclass(frozen=True, slots=True)
class Bill:
    """What all rows of a bill share. `invoice` is the document's number, "" for a month that is not invoiced yet."""

    provider: str
    issuer: str
    account: str
    account_name: str
    currency: str
    start: datetime
    end: datetime
    invoice: str = ""


@dataclass(frozen=True, slots=True)
class Charge:
    """A line of a bill. `detail` is the line's frozen explanation: versions, parts, usage by dimensions.

    `start` and `end` bound what is charged: the line's own span, or for an adjustment the month that it corrects (`origin`).
    """

    kind: str
    key: str
    meter: str
    name: str
    description: str
    unit: str
    amount: Decimal
    start: datetime
    end: datetime
    detail: Mapping[str, Any]
    origin: str = ""


def rows_of(bill: Bill, charge: Charge) -> Iterator[Row]:
    """The rows of one line; Σ BilledCost is its amount."""
    if charge.kind in {"usage", "fee"} and charge.detail.get("parts"):
        yield from _priced(bill, charge)
    else:
        yield _unpriced(bill, charge)


def tax_row(bill: Bill, amount: Decimal, name: str, *, correction: bool = False) -> Row:
    """The tax of a document."""
    return _row(
        bill,
        "Tax",
        amount,
        start=bill.start,
        end=bill.end,
        ChargeClass="Correction" if correction else None,
        ChargeDescription=name,
        ChargeFrequency="One-Time",
        ServiceName="Tax",
        x_LineKind="tax",
    )


def credit_row(bill: Bill, amount: Decimal, text: str, span: tuple[datetime, datetime], *, correction: bool) -> Row:
    """A credit note's net amount, negative; a correction where it gives back what an earlier period was billed."""
    return _row(
        bill,
        "Credit",
        amount,
        start=span[0],
        end=span[1],
        ChargeClass="Correction" if correction else None,
        ChargeDescription=text,
        ChargeFrequency="One-Time",
        ServiceName="Credit",
        x_LineKind="credit note",
    )


def unit_of(billing_unit: str) -> str:
    """A meter's billing unit in FOCUS's unit format: 'call' → 'Requests', 'GB-month' → 'GB-Months'."""
    if billing_unit in _UNITS:
        return _UNITS[billing_unit]
    return f"{billing_unit[:1].upper()}{billing_unit[1:]}s" if billing_unit else "Units"


# ----------------------------------------------------------------------------------------------------------------- usage


@dataclass(frozen=True, slots=True)
class _Step:
    """A quantity at a price. Cost is exactly what is printed: the quantity's digits × the price's digits."""

    category: str
    reason: str
    quantity: Decimal
    price: Decimal
    unit: str
    dims: Mapping[str, str]
    consumed: Decimal | None

    @property
    def cost(self) -> Decimal:
        return self.quantity * self.price


def _priced(bill: Bill, charge: Charge) -> Iterator[Row]:
    steps = list(_fee_steps(charge) if charge.kind == "fee" else _usage_steps(charge))
    for step, billed in zip(steps, _shares(charge.amount, bill.currency, [step.cost for step in steps]), strict=True):
        sku = "|".join(filter(None, (charge.meter, charge.detail.get("dim_value", ""), step.category.lower())))
        versions = charge.detail.get("versions", [])
        yield _row(
            bill,
            step.category,
            billed,
            start=charge.start,
            end=charge.end,
            cost=step.cost,
            ChargeDescription=f"{charge.description}: {step.reason}",
            ChargeFrequency="Usage-Based" if step.category == "Usage" else "Recurring",
            ConsumedQuantity=step.consumed,
            ConsumedUnit=unit_of(charge.unit) if step.consumed is not None else None,
            ContractedUnitPrice=step.price,
            ListUnitPrice=step.price,
            PricingCategory="Standard",
            PricingQuantity=step.quantity,
            PricingUnit=step.unit,
            SkuId=sku,
            SkuMeter=charge.name,
            SkuPriceId="|".join([versions[0] if versions else "", sku, step.reason, format(step.price, "f")]),
            SkuPriceDetails=_pairs(_details(charge.detail, step.dims)),
            Tags=_pairs({"project": step.dims["project"]} if step.dims.get("project") else {}),
            **_said(charge),
        )


def _usage_steps(charge: Charge) -> Iterator[_Step]:
    parts = charge.detail["parts"]
    usage = charge.detail.get("usage", [])
    whole = _decimal(charge.detail.get("quantity", "0"))
    unit = unit_of(charge.unit)
    if len(parts) == 1 and usage and not _is_package(parts[0]) and not Fraction(parts[0]["fee"]):
        price = Decimal(parts[0]["unit_price"])
        for each in usage:
            quantity = _decimal(each["quantity"])
            yield _Step("Usage", parts[0]["reason"], quantity, price, unit, each["dims"], quantity)
        return
    dims = usage[0]["dims"] if len(usage) == 1 else {}
    for position, part in enumerate(parts):
        quantity, price = _decimal(part["quantity"]), Decimal(part["unit_price"])
        if _is_package(part):
            size = part["reason"].removeprefix(_PACKAGES)
            yield _Step("Usage", part["reason"], quantity, price, f"{size} {unit}" if size.isdigit() else "Packages", dims, whole if position == 0 else Decimal(0))  # fmt: skip
            continue
        yield _Step("Usage", part["reason"], quantity, price, unit, dims, quantity)
        fee = Fraction(part["fee"])
        if fee:
            sign = Decimal(1) if fee > 0 else Decimal(-1)
            yield _Step("Purchase", f"fee for {part['reason']}", sign, _decimal(abs(fee)), "Units", dims, None)


def _fee_steps(charge: Charge) -> Iterator[_Step]:
    for part in charge.detail["parts"]:
        yield _Step("Purchase", part["reason"], _decimal(part["quantity"]), Decimal(part["unit_price"]), "Months", {}, None)  # fmt: skip


def _is_package(part: Mapping[str, str]) -> bool:
    return part["reason"].startswith(_PACKAGES)


def _shares(amount: Decimal, currency: str, costs: Sequence[Decimal]) -> list[Decimal]:
    """The rounded amount cut in proportion to exact costs, of any sign: differences of a running total, each rounded to the cent."""
    whole = sum(costs, Decimal(0))
    shares, before, running = [], Decimal(0), Decimal(0)
    for position, cost in enumerate(costs, start=1):
        running += cost
        here = amount
        if position < len(costs):
            digits = -Money.zero(currency).amount.as_tuple().exponent  # type: ignore[operator]
            here = round_half_up(exact(amount) * exact(running) / exact(whole), digits) if whole else Decimal(0)
        shares.append(here - before)
        before = here
    return shares


# ---------------------------------------------------------------------------------------------------------------- others


def _unpriced(bill: Bill, charge: Charge) -> Row:
    """What has no unit price: the rest of a minimum, a surcharge, and corrections of invoiced months."""
    correction = bool(charge.origin)
    line_kind = charge.key.split("|", 1)[0] if correction else charge.kind
    category = {"usage": "Usage", "fee": "Purchase"}.get(line_kind, "Adjustment")
    return _row(
        bill,
        category,
        charge.amount,
        start=charge.start,
        end=charge.end,
        cost=None,
        ChargeClass="Correction" if correction else None,
        ChargeDescription=charge.description,
        ChargeFrequency="One-Time" if correction else "Recurring",
        **_said(charge),
    )


def _said(charge: Charge) -> dict[str, str | Decimal | None]:
    category, subcategory = _SERVICES.get(charge.meter, _ELSEWHERE)
    return {
        "ServiceCategory": category,
        "ServiceSubcategory": subcategory,
        "ServiceName": charge.name,
        "x_LineKey": charge.key,
        "x_LineKind": charge.kind,
        "x_OriginPeriod": charge.origin or None,
        "x_PriceVersions": ", ".join(charge.detail.get("versions", [])) or None,
    }


def _row(
    bill: Bill,
    category: str,
    billed: Decimal,
    *,
    start: datetime,
    end: datetime,
    cost: Decimal | None = None,
    **more: str | Decimal | None,
) -> Row:
    # Nothing is paid in advance and amortised, so what is billed is what takes effect.
    agreed = billed if cost is None else cost
    return {
        "BilledCost": billed,
        "BillingAccountId": bill.account,
        "BillingAccountName": bill.account_name,
        "BillingCurrency": bill.currency,
        "BillingPeriodStart": instant(bill.start),
        "BillingPeriodEnd": instant(bill.end),
        "ChargeCategory": category,
        "ChargePeriodStart": instant(start),
        "ChargePeriodEnd": instant(end),
        "ContractedCost": agreed,
        "EffectiveCost": billed,
        "ListCost": agreed,
        "InvoiceId": bill.invoice or None,
        "InvoiceIssuerName": bill.issuer,
        "ProviderName": bill.provider,
        "PublisherName": bill.provider,
        "ServiceCategory": "Other",
        "ServiceSubcategory": "Other (Other)",
        **more,
    }


def instant(moment: datetime) -> str:
    """2026-07-01T00:00:00Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _details(detail: Mapping[str, Any], dims: Mapping[str, str]) -> dict[str, str]:
    known = {name: value for name, value in dims.items() if name != "project" and value}
    if detail.get("dim_key") and detail.get("dim_value"):
        known[detail["dim_key"]] = detail["dim_value"]
    return {_DETAIL_KEYS.get(name, f"x_{name}"): value for name, value in sorted(known.items())}


def _pairs(values: Mapping[str, str]) -> str | None:
    return json.dumps(dict(values), ensure_ascii=False, sort_keys=True) if values else None


def _decimal(value: str | Fraction) -> Decimal:
    return round_half_up(Fraction(value), _PLACES)
