"""Prices as they are stored (a model name, a unit price, parameters) and as they are rated. Strict: a wrong row is a PriceError."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from ..money import MoneyError, parse_decimal
from .book import EVERYTHING, Price, PriceVersion
from .charges import Commitment, FlatFee, Graduated, Package, PerUnit, PriceError, Tier, UsageCharge, Volume

_MODIFIERS: Final = {"allowance", "minimum", "overage_factor"}
_OWN_PARAMS: Final = {
    "per_unit": set[str](),
    "graduated": {"tiers"},
    "volume": {"tiers"},
    "package": {"size"},
    "flat": set[str](),
}


class PriceRow(NamedTuple):
    """One stored price. `params` hold decimal strings:

    graduated and volume {"tiers": [{"up_to": "1000" or null, "unit_price": "0.01", "flat": "5"}, …]}, package {"size": "100"}, and for
    any usage model {"allowance": "1000"}, {"minimum": "50.00", "overage_factor": "1.5"}. `unit_price` is a call's, an hour's, a
    package's or a month's. The meter "*" carries the minimum of the whole bill: model "flat", unit price 0, {"minimum": …}.
    """

    meter: str
    model: str
    unit_price: Decimal
    params: Mapping[str, Any] = {}
    dim_key: str = ""
    dim_value: str = ""


def parse_version(
    ref: str, starts_at: datetime, currency: str, rows: Iterable[PriceRow], ends_at: datetime | None = None
) -> PriceVersion:
    """A version from its stored rows. `PriceError` names the meter of the row that is wrong."""
    prices: list[Price] = []
    whole_bill: Commitment | None = None
    for row in rows:
        if row.meter != EVERYTHING:
            prices.append(parse_price(row))
        elif whole_bill:
            raise PriceError(f"{EVERYTHING}: two minimums of the whole bill")
        else:
            with _naming(row):
                whole_bill = _commitment(_checked(row))
    return PriceVersion(ref, starts_at, currency, tuple(prices), whole_bill, ends_at)


def parse_price(row: PriceRow) -> Price:
    """One price from its stored row; `PriceError` for an unknown model, a missing or an unknown parameter, or a bad number."""
    with _naming(row):
        params = _checked(row)
        if row.model == "flat":
            return Price(row.meter, FlatFee(row.unit_price), row.dim_key, row.dim_value)
        allowance = _number(params, "allowance") if "allowance" in params else Decimal(0)
        return Price(row.meter, _charge(row, params), row.dim_key, row.dim_value, allowance, _commitment(params))


@contextmanager
def _naming(row: PriceRow) -> Iterator[None]:
    try:
        yield
    except (MoneyError, PriceError) as error:
        words = str(error).removeprefix(f"{row.meter}: ")
        raise PriceError(f"{row.meter}: {words}") from None


def _checked(row: PriceRow) -> Mapping[str, Any]:
    if row.model not in _OWN_PARAMS:
        raise PriceError(f"{row.model!r} is not a charge model ({', '.join(_OWN_PARAMS)})")
    if not isinstance(row.params, Mapping):
        raise PriceError("parameters are named values")
    if row.meter == EVERYTHING:
        _check_whole_bill(row)
        return row.params
    if row.model == "flat" and "allowance" in row.params:
        raise PriceError("an allowance needs a unit to be counted in, and a flat fee has none")
    known = _OWN_PARAMS[row.model] | (_MODIFIERS if row.model != "flat" else set())
    unknown = sorted(set(row.params) - known)
    if unknown:
        raise PriceError(f"{row.model} takes no parameter {', '.join(unknown)}")
    return row.params


def _check_whole_bill(row: PriceRow) -> None:
    """The row of the whole bill carries its minimum, and nothing that a unit would be needed for."""
    if row.model != "flat" or row.unit_price or row.dim_key or row.dim_value:
        raise PriceError("the whole bill has a minimum, written as a flat fee of 0, and no price of its own")
    if "allowance" in row.params:
        raise PriceError("an allowance needs a unit to be counted in, and the whole bill has none")
    if "minimum" not in row.params or set(row.params) - {"minimum", "overage_factor"}:
        raise PriceError("the whole bill takes a minimum and an overage factor")


def _charge(row: PriceRow, params: Mapping[str, Any]) -> UsageCharge:
    if row.model == "package":
        return Package(_number(params, "size"), row.unit_price)
    if row.model == "per_unit":
        return PerUnit(row.unit_price)
    steps = params.get("tiers")
    if not isinstance(steps, list):
        raise PriceError(f"{row.model} needs tiers")
    tiers = tuple(_tier(step) for step in steps)
    return Graduated(tiers) if row.model == "graduated" else Volume(tiers)


def _tier(step: Any) -> Tier:
    if not isinstance(step, Mapping) or set(step) - {"up_to", "unit_price", "flat"}:
        raise PriceError("a tier has up_to, unit_price and flat")
    up_to = None if step.get("up_to") is None else _number(step, "up_to")
    return Tier(up_to, _number(step, "unit_price"), _number(step, "flat") if "flat" in step else Decimal(0))


def _commitment(params: Mapping[str, Any]) -> Commitment | None:
    if "minimum" not in params:
        if "overage_factor" in params:
            raise PriceError("an overage factor needs a minimum")
        return None
    factor = _number(params, "overage_factor") if "overage_factor" in params else Decimal(1)
    return Commitment(_number(params, "minimum"), factor)


def _number(params: Mapping[str, Any], name: str) -> Decimal:
    value = params.get(name)
    if not isinstance(value, str):
        raise PriceError(f"{name} is a decimal number, written as text")
    return parse_decimal(value)
