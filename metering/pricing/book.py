"""Price books: versions with a start, the prices in them, and which version is in force for a tenant when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Final, TypeAlias

from ..money import minor_digits
from ..periods import Period, utc
from .charges import Commitment, FlatFee, PerUnit, PriceError, UsageCharge, not_negative

Selector: TypeAlias = tuple[str, str, str]
"""Meter, dimension, dimension value ("" for the price of every other value)."""

_NO_DIMENSION: Final[tuple[str, frozenset[str]]] = ("", frozenset())
EVERYTHING: Final = "*"
"""The meter of a commitment that covers all usage of a bill."""


def charge_name(key: str) -> str:
    """What a charge is called that no meter names: 'Platform fee' of platform_fee, 'Whole bill' of the commitment on everything."""
    words = "whole bill" if key == EVERYTHING else key.replace("_", " ")
    return words[:1].upper() + words[1:]


@dataclass(frozen=True, slots=True)
class Price:
    """What a meter costs, for one value of a dimension (`dim_key`="model", `dim_value`="H100") or, without one, for every other value.

    `allowance` units of the period are free before the charge begins; it is not prorated. A commitment covers this price's lines.
    A flat fee has a name of its own as its meter ("platform_fee") and takes neither allowance nor commitment.
    """

    meter: str
    charge: UsageCharge | FlatFee
    dim_key: str = ""
    dim_value: str = ""
    allowance: Decimal = Decimal(0)
    commitment: Commitment | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "allowance", not_negative(self.allowance, "an allowance"))
        if not self.meter:
            raise PriceError("a price names a meter")
        if self.dim_value and not self.dim_key:
            raise PriceError(f"{self.meter}: a dimension value needs its dimension")
        if isinstance(self.charge, FlatFee) and (self.allowance or self.commitment or self.dim_key):
            raise PriceError(f"{self.meter}: a flat fee takes no allowance, commitment or dimension")

    @property
    def selector(self) -> Selector:
        """What names this price among others: meter, dimension, value."""
        return self.meter, self.dim_key if self.dim_value else "", self.dim_value


@dataclass(frozen=True, slots=True)
class PriceVersion:
    """Prices in force from `starts_at` until the next version starts, or until `ends_at` when something ends them earlier.

    `ref` names it on invoices ("standard v3"). `commitment` covers all usage lines of the bill. `PriceError` for two prices of one
    selector, and for a meter priced by two dimensions: which one held would be a guess.
    """

    ref: str
    starts_at: datetime
    currency: str
    prices: tuple[Price, ...]
    commitment: Commitment | None = None
    ends_at: datetime | None = None
    _by_meter: Mapping[str, _MeterPrices] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        minor_digits(self.currency)
        object.__setattr__(self, "starts_at", utc(self.starts_at))
        if self.ends_at is not None:
            object.__setattr__(self, "ends_at", utc(self.ends_at))
            if self.ends_at <= self.starts_at:
                raise PriceError(f"{self.ref} ends before it starts")
        by_meter: dict[str, _MeterPrices] = {}
        for price in self.prices:
            by_meter.setdefault(price.meter, _MeterPrices(price.meter)).add(price)
        object.__setattr__(self, "_by_meter", by_meter)

    def price_of(self, meter: str, dims: Mapping[str, str]) -> Price | None:
        """The price that covers this usage, or None: then the usage is quarantined, never free."""
        prices = self._by_meter.get(meter)
        return prices.of(dims) if prices else None

    def dimension_of(self, meter: str) -> tuple[str, frozenset[str]]:
        """The dimension by which a meter is priced ("" for none) and the values that have prices of their own."""
        prices = self._by_meter.get(meter)
        return prices.dimension if prices else _NO_DIMENSION

    def prices_of(self, meter: str) -> tuple[Price, ...]:
        """Every price of a meter or fee, whatever its dimension value."""
        prices = self._by_meter.get(meter)
        return tuple(prices.in_order) if prices else ()


@dataclass(slots=True)
class _MeterPrices:
    meter: str
    dim_key: str = ""
    by_value: dict[str, Price] = field(default_factory=dict)
    default: Price | None = None
    in_order: list[Price] = field(default_factory=list)
    dimension: tuple[str, frozenset[str]] = _NO_DIMENSION

    def add(self, price: Price) -> None:
        self.in_order.append(price)
        if price.dim_value:
            if self.dim_key not in ("", price.dim_key):
                raise PriceError(
                    f"{self.meter} is priced by {self.dim_key} and by {price.dim_key}: choose one dimension"
                )
            self.dim_key = price.dim_key
            if price.dim_value in self.by_value:
                raise PriceError(f"{self.meter} has two prices for {price.dim_key} {price.dim_value}")
            self.by_value[price.dim_value] = price
            self.dimension = self.dim_key, frozenset(self.by_value)
        elif self.default is not None:
            raise PriceError(f"{self.meter} has two prices")
        else:
            self.default = price

    def of(self, dims: Mapping[str, str]) -> Price | None:
        price = self.by_value.get(dims.get(self.dim_key, ""), self.default) if self.dim_key else self.default
        return None if price is None or isinstance(price.charge, FlatFee) else price


@dataclass(frozen=True, slots=True)
class BookInForce:
    """A book's versions as they hold for one tenant from `starts_at` until `ends_at` (None: until further notice)."""

    versions: tuple[PriceVersion, ...]
    starts_at: datetime
    ends_at: datetime | None = None


def timeline(*layers: Sequence[BookInForce]) -> tuple[PriceVersion, ...]:
    """The versions in force for a tenant, one after the other: `rate` takes them as they are.

    Each layer is a list of books that follow one another; a later layer wins where it is in force. So
    `timeline(tier_books, tenant_books)` is the tier's prices under the tenant's own. `PriceError` where books of one layer overlap.
    """
    for layer in layers:
        ordered = sorted(layer, key=lambda book: book.starts_at)
        for book, following in pairwise(ordered):
            if book.ends_at is None or book.ends_at > following.starts_at:
                raise PriceError("two price books are in force at once")
    starts = {instant for layer in layers for book in layer for instant in _changes(book)}
    chosen: list[tuple[datetime, PriceVersion | None]] = []
    for instant in sorted(starts):
        version = next(filter(None, (_in_force(layer, instant) for layer in reversed(layers))), None)
        if not chosen or chosen[-1][1] is not version:
            chosen.append((instant, version))
    ends = [*(instant for instant, _ in chosen[1:]), None]
    return tuple(
        replace(version, starts_at=start, ends_at=end)
        for (start, version), end in zip(chosen, ends, strict=False)
        if version
    )


def _changes(book: BookInForce) -> Iterable[datetime]:
    end = book.ends_at
    yield book.starts_at
    if end is not None:
        yield end
    for version in book.versions:
        for instant in (version.starts_at, version.ends_at):
            if instant is not None and instant > book.starts_at and (end is None or instant < end):
                yield instant


def _in_force(layer: Sequence[BookInForce], instant: datetime) -> PriceVersion | None:
    for book in layer:
        if book.starts_at <= instant and (book.ends_at is None or instant < book.ends_at):
            return version_at(book.versions, instant)
    return None


def version_at(versions: Iterable[PriceVersion], instant: datetime) -> PriceVersion | None:
    """The version in force at `instant`: the last one started, unless it has ended."""
    started = [version for version in versions if version.starts_at <= instant]
    last = max(started, key=lambda version: version.starts_at, default=None)
    return None if last is None or (last.ends_at is not None and last.ends_at <= instant) else last


def check_publishable(new: PriceVersion, others: Iterable[PriceVersion], now: datetime, *, force: bool = False) -> None:
    """`PriceError` when `new` may not join the book's published `others`.

    A version starts in the future (a start in the past rewrites bills: only `force`, which the caller audits, allows it), on a full
    UTC hour, in the book's currency, and not at the same instant as another.
    """
    if new.starts_at <= utc(now) and not force:
        raise PriceError("a version starts in the future; prices that have been in force never change")
    if new.starts_at.minute or new.starts_at.second or new.starts_at.microsecond:
        raise PriceError("a version starts on a full hour (UTC)")
    for other in others:
        if other.currency != new.currency:
            raise PriceError(f"the book is in {other.currency}, the version in {new.currency}")
        if other.starts_at == new.starts_at:
            raise PriceError(f"{other.ref} starts at the same instant")


def cuts(versions: Iterable[PriceVersion], period: Period) -> list[tuple[datetime, datetime]]:
    """`period` in the pieces between price changes, in order: sum usage per piece and give each sum as one segment."""
    edges = {period.start, period.end}
    for version in versions:
        edges.update(at for at in (version.starts_at, version.ends_at) if at is not None and at in period)
    ordered = sorted(edges)
    return list(pairwise(ordered))


DEFAULT_PRICES: Final = (
    Price("api_calls", PerUnit(Decimal("0.001"))),
    Price("gpu_hours", PerUnit(Decimal("2.50"))),
    Price("storage_gb", PerUnit(Decimal("0.023"))),
)
"""The default book in US dollars: a call, a GPU hour, a GB-month."""


def default_version(starts_at: datetime, ref: str = "standard v1") -> PriceVersion:
    """The default price book, in force from `starts_at`."""
    return PriceVersion(ref, starts_at, "USD", DEFAULT_PRICES)
