"""How a price reads: one sentence for every charge model, wherever a price is shown as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from babel.numbers import format_decimal

from metering.mail.wording import LOCALE, WORDS
from metering.models import ChargeModel, Meter, Price
from metering.pricing import EVERYTHING, charge_name


def price_in_words(price: Price, currency: str, meters: Mapping[str, Meter]) -> str:
    """'GPU hours, H100: 3.1 USD per GPU hour'. English; `meters` by key."""
    meter = meters.get(price.meter)
    name = meter.name if meter else charge_name(price.meter)
    where = f", {price.dim_value}" if price.dim_value else ""
    return f"{name}{where}: {terms_in_words(price, currency, meters)}"


def terms_in_words(price: Price, currency: str, meters: Mapping[str, Meter]) -> str:
    """The same without the name: '0.002 USD per call for the first 1,000, 0.001 USD per call beyond; the first 100 calls are free'."""
    meter = meters.get(price.meter)
    one, many = WORDS.get(meter.billing_unit, (meter.billing_unit, meter.billing_unit)) if meter else ("unit", "units")
    money = _Money(currency)
    charge = "" if price.meter == EVERYTHING else _charge(price, money, one, many)
    return "; ".join(
        [*filter(None, [charge]), *_conditions(price.params, money, many, whole=price.meter == EVERYTHING)]
    )


class _Money:
    """Amounts in one currency, with every digit that they have."""

    def __init__(self, currency: str) -> None:
        self.currency = currency

    def __call__(self, amount: Any) -> str:
        return f"{_number(amount)} {self.currency}"


def _charge(price: Price, money: _Money, one: str, many: str) -> str:
    params: Mapping[str, Any] = price.params
    if price.charge_model == ChargeModel.GRADUATED:
        return _graduated(params["tiers"], money, one)
    if price.charge_model == ChargeModel.VOLUME:
        return _volume(params["tiers"], money, one, many)
    if price.charge_model == ChargeModel.PACKAGE:
        return f"{money(price.unit_price)} per package of {_number(params['size'])} {many}, started ones in full"
    if price.charge_model == ChargeModel.FLAT:
        return f"{money(price.unit_price)} a month"
    return f"{money(price.unit_price)} per {one}"


def _graduated(tiers: Sequence[Mapping[str, Any]], money: _Money, one: str) -> str:
    """Each unit at the price of its own step."""
    steps, before = [], Decimal(0)
    for tier in tiers:
        cost = f"{money(tier['unit_price'])} per {one}"
        if (end := tier.get("up_to")) is not None:
            span = f"for the first {_number(end)}" if not before else f"for the next {_number(Decimal(end) - before)}"
            before = Decimal(end)
        else:
            span = "beyond" if before else ""
        steps.append(f"{cost} {span}".strip() + _fee(tier, money, "once it begins"))
    return ", ".join(steps)


def _volume(tiers: Sequence[Mapping[str, Any]], money: _Money, one: str, many: str) -> str:
    """All units at the price of the step that the month reaches."""
    steps = []
    for tier in tiers:
        end = tier.get("up_to")
        span = f"up to {_number(end)} {many}" if end is not None else "more" if len(tiers) > 1 else "any number"
        steps.append(f"{money(tier['unit_price'])} per {one} in a month of {span}" + _fee(tier, money, "for it"))
    return "all at one price: " + ", ".join(steps)


def _fee(tier: Mapping[str, Any], money: _Money, when: str) -> str:
    fee = tier.get("flat")
    return f" and {money(fee)} {when}" if fee and Decimal(fee) else ""


def _conditions(params: Mapping[str, Any], money: _Money, many: str, *, whole: bool) -> list[str]:
    found = []
    if "allowance" in params:
        found.append(f"the first {_number(params['allowance'])} {many} of a month are free")
    if "minimum" in params:
        found.append(f"at least {money(params['minimum'])} a month{' for all usage together' if whole else ''}")
    if "overage_factor" in params:
        found.append(f"what usage costs beyond that counts {_number(params['overage_factor'])} times")
    return found


def _number(value: Any) -> str:
    return str(format_decimal(Decimal(value), locale=LOCALE, decimal_quantization=False))
