"""Rating: usage and prices in, lines of a bill out. One function for live cost, preview, forecast and invoice.

The laws (docs/domain/billing.md has them with examples):

* Usage is priced at the version in force when it happened. It is never prorated.
* A ladder (tiers, allowance, packages) begins with the period, and its position is the quantity used so far in the period that the
  price would cover. A price change sends nobody back to the first step: the new ladder is entered at the position reached.
* Where a new version leaves a price as it was, the line goes on: publishing the same prices again moves no cent.
* A line is rounded once. A day of a fee is charged once, whole, at the fee in force in the middle of the day.
* Nothing is free by accident: usage without a price is quarantined.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Final

from ..money import Money, round_line, round_product, total
from ..periods import Period, days
from .book import EVERYTHING, Price, PriceVersion, Selector
from .charges import FREE, PER_UNIT, FlatFee, Part, PerUnit, PriceError, UsageCharge, in_full
from .commitments import Spent, commitment_line
from .lines import LINE_KINDS, Line, Quarantined, Rating, Reason, Segment
from .spans import Active, Span, active, currency_of, spans_of

_HOUR: Final = timedelta(hours=1)
_ZERO: Final = Fraction(0)


def rate(
    segments: Iterable[Segment],
    versions: Sequence[PriceVersion],
    period: Period,
    *,
    currency: str | None = None,
    active_from: datetime | None = None,
    active_until: datetime | None = None,
    as_of: datetime | None = None,
) -> Rating:
    """Price `segments` of `period` with the versions in force (`timeline` makes them for a tenant). The order does not matter.

    `active_from` and `active_until` bound the days for which fees and minimums are due (the tenant joined or left). `as_of` asks for
    the cost so far: fees and minimums of the days begun by then. Without it the whole period's are due, as on the invoice.
    `currency` is needed only where no version is in force.

    `PriceError`: a segment outside the period; one longer than an hour across a price change (cut it at `cuts`; a single hour is
    priced whole at its start); versions that start together. `CurrencyMismatch`: versions in two currencies.
    """
    plan = _plan_for(versions, period, active(period, active_from, active_until, as_of))
    bill = _Bill(period, currency_of(plan.spans, currency) if currency or not plan.spans else plan.currency, plan)
    usage = bill.by_meter(segments)
    for meter in plan.meters if usage.keys() <= plan.runs.keys() else sorted({*usage, *plan.meters}):
        bill.rate_meter(meter, usage.get(meter, []))
    if plan.has_commitment:
        bill.rate_commitment_of_bill()
    lines = [line for _, line in bill.lines]
    if not plan.is_plain:
        lines.sort(key=_order)
    return Rating(period, bill.currency, tuple(lines), tuple(bill.quarantined))


def _order(line: Line) -> tuple[int, str, str, datetime]:
    return LINE_KINDS.index(line.kind), line.meter, line.dim_value, line.start


@dataclass(slots=True)
class _Run:
    """Neighbouring spans, `first` to `last`, with the very same price: together one line."""

    price: Price
    dimension: tuple[str, frozenset[str]]
    first: int
    last: int
    start: datetime
    end: datetime
    versions: tuple[str, ...] = ()
    heading: tuple[str, str, str, tuple[str, ...], datetime, datetime] = field(init=False)
    """What its lines begin with: meter, dimension, value, versions, start, end."""
    plain: PerUnit | None = None
    """The charge where it is the one price of its meter in all of the period, and nothing but the quantity counts."""

    def covers(self, segment: Segment) -> bool:
        """Whether this price, and no other of its version, is the one for the segment's dimensions."""
        key, values = self.dimension
        value = segment.dims.get(key, "") if key else ""
        return (value if value in values else "") == self.price.dim_value


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the bills of a period have in common under the same prices: worked out once, however many tenants pay by them."""

    spans: tuple[Span, ...]
    currency: str
    days: int
    starts: tuple[datetime, ...]
    meters: tuple[str, ...]
    runs: Mapping[str, tuple[_Run, ...]]
    has_commitment: bool
    is_whole: bool
    """One price version holds for all of the period: no usage can cross a change."""
    is_plain: bool
    """Nothing but plain prices: a meter has at most one line, and lines come in the order of their meters."""


class _SamePrices:
    """Names versions by their identity, which a tuple keeps: comparing prices one by one would take longer than rating."""

    __slots__ = ("versions",)

    def __init__(self, versions: tuple[PriceVersion, ...]) -> None:
        self.versions = versions

    def __hash__(self) -> int:
        return id(self.versions)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _SamePrices) and other.versions is self.versions


def _plan_for(versions: Sequence[PriceVersion], period: Period, bounds: Active) -> _Plan:
    """The plan; the one made before under the same prices, with fees for all of the month or for none of it, or without any."""
    if type(versions) is not tuple:
        return _plan(versions, period, bounds)
    prices = _SamePrices(versions)
    is_all = bounds.start == period.start and bounds.end == bounds.as_of == period.end
    is_none = bounds.start >= bounds.end
    if is_all or is_none or not _is_owed_by_day(prices):
        return _common_plan(prices, period, not is_none)
    return _plan(versions, period, bounds)


@lru_cache(maxsize=64)
def _is_owed_by_day(prices: _SamePrices) -> bool:
    """Whether anything is due for the passing of days: fees and minimums. Without, a bill is the same whatever its bounds."""
    return any(
        version.commitment or any(each.commitment or isinstance(each.charge, FlatFee) for each in version.prices)
        for version in prices.versions
    )


@lru_cache(maxsize=64)
def _common_plan(prices: _SamePrices, period: Period, is_all: bool) -> _Plan:
    start = period.start if is_all else period.end
    return _plan(prices.versions, period, Active(start, period.end, period.end))


def _plan(versions: Sequence[PriceVersion], period: Period, bounds: Active) -> _Plan:
    spans = tuple(spans_of(versions, period, bounds))
    is_whole = len(spans) == 1 and spans[0].start == period.start and spans[0].end == period.end
    meters = tuple(sorted({price.meter for span in spans for price in span.version.prices}))
    runs = {meter: tuple(_runs(spans, meter, is_whole)) for meter in meters}
    has_commitment = any(span.version.commitment for span in spans)
    return _Plan(
        spans=spans,
        currency=currency_of(spans, None) if spans else "",
        days=len(days(period)),
        starts=tuple(span.start for span in spans),
        meters=meters,
        runs=runs,
        has_commitment=has_commitment,
        is_whole=is_whole,
        is_plain=not has_commitment and all(run.plain for its in runs.values() for run in its),
    )


def _runs(spans: Sequence[Span], meter: str, is_whole: bool) -> Iterator[_Run]:
    running: dict[Selector, _Run] = {}
    found: list[_Run] = []
    for index, span in enumerate(spans):
        going_on: dict[Selector, _Run] = {}
        for price in span.version.prices_of(meter):
            run = running.get(price.selector)
            if run and _goes_on(spans, run, price, index):
                run.last = index
            else:
                run = _Run(price, span.version.dimension_of(meter), index, index, span.start, span.end)
            going_on[price.selector] = run
        found += (run for selector, run in running.items() if going_on.get(selector) is not run)
        running = going_on
    found += running.values()
    for run in found:
        its = spans[run.first : run.last + 1]
        run.end = its[-1].end
        run.versions = tuple(dict.fromkeys(span.version.ref for span in its))
        run.heading = (*run.price.selector, run.versions, run.start, run.end)
        charge = run.price.charge
        is_mere = not (run.dimension[0] or run.price.allowance or run.price.commitment)
        if is_whole and is_mere and len(found) == 1 and isinstance(charge, PerUnit):
            run.plain = charge
        yield run


def _goes_on(spans: Sequence[Span], run: _Run, price: Price, index: int) -> bool:
    before, span = spans[index - 1], spans[index]
    if run.price != price or run.dimension != span.version.dimension_of(price.meter) or before.end != span.start:
        return False
    # What counts towards a commitment must not share a line with what does not.
    return isinstance(price.charge, FlatFee) or before.version.commitment == span.version.commitment


class _Bill:
    """The bill in the making: lines with the index of the span that each belongs to."""

    def __init__(self, period: Period, currency: str, plan: _Plan) -> None:
        self.period = period
        self.currency = currency
        self.plan = plan
        self.spans = plan.spans
        self.days = plan.days
        self.lines: list[tuple[int, Line]] = []
        self.quarantined: list[Quarantined] = []

    def by_meter(self, segments: Iterable[Segment]) -> dict[str, list[Segment]]:
        """The segments of each meter. `PriceError` for one that no single price can be in force for."""
        found: dict[str, list[Segment]] = {}
        first, end, can_cross = self.period.start, self.period.end, not self.plan.is_whole
        for segment in segments:
            if not first <= segment.start < end or segment.end > end:
                at = segment.start.isoformat()
                raise PriceError(f"usage of {segment.meter} at {at} lies outside {self.period.key}")
            if can_cross:
                self._check_crossing(segment)
            found.setdefault(segment.meter, []).append(segment)
        return found

    def _check_crossing(self, segment: Segment) -> None:
        if segment.end - segment.start > _HOUR:
            last = segment.end - timedelta(microseconds=1)
            if self._span_at(segment.start) is not self._span_at(last):
                raise PriceError(f"usage of {segment.meter} from {segment.start.isoformat()} crosses a price change")

    def rate_meter(self, meter: str, segments: list[Segment]) -> None:
        """Add the meter's lines: usage or fee, then the commitments of its prices; and hold what has no price."""
        runs = self.plan.runs.get(meter, ())
        if len(runs) == 1 and runs[0].plain is not None and self._plain(runs[0], runs[0].plain, segments):
            return
        self._hold_unpriced(meter, segments)
        committed: dict[Selector, list[tuple[_Run, Line | None]]] = {}
        for run in runs:
            charge = run.price.charge
            line = self._fee(run, charge) if isinstance(charge, FlatFee) else self._usage(run, charge, segments)
            if line:
                self.lines.append((run.first, line))
            if run.price.commitment:
                committed.setdefault(run.price.selector, []).append((run, line))
        for selector, its in committed.items():
            spent = [
                Spent(run.price.commitment, tuple(self.spans[run.first : run.last + 1]), self._amount(line))
                for run, line in its
                if run.price.commitment
            ]
            self._add_commitment(selector, spent, its[-1][0].last)

    def _plain(self, run: _Run, charge: PerUnit, segments: list[Segment]) -> bool:
        """Add the line of a mere price in force all month, as `_usage` would; False for what needs a closer look (a negative total)."""
        if not segments:
            return True
        quantity = _sum(segments)
        numerator = quantity.numerator
        if numerator < 0:
            return False
        amount = round_product(quantity, in_full(charge.unit_price), self.currency)
        parts = (Part(PER_UNIT, quantity, charge.unit_price),) if numerator else ()
        its = tuple(segments) if len(segments) == 1 else tuple(sorted(segments, key=_in_time))
        self.lines.append((run.first, Line("usage", *run.heading, quantity, amount, parts, its)))
        return True

    def rate_commitment_of_bill(self) -> None:
        """Add the shortfall or overage of a commitment that covers all usage, the meters' own commitments included."""
        spent = []
        for index, span in enumerate(self.spans):
            if span.version.commitment:
                amounts = (line.amount for at, line in self.lines if at == index and line.kind != "fee")
                spent.append(Spent(span.version.commitment, (span,), total(amounts, self.currency)))
        self._add_commitment((EVERYTHING, "", ""), spent, len(self.spans))

    def _add_commitment(self, selector: Selector, spent: list[Spent], index: int) -> None:
        line = commitment_line(selector, spent, self.days, self.currency)
        if line:
            self.lines.append((index, line))

    def _amount(self, line: Line | None) -> Money:
        return line.amount if line else Money.zero(self.currency)

    def _span_at(self, instant: datetime) -> Span | None:
        index = bisect_right(self.plan.starts, instant) - 1
        return self.spans[index] if index >= 0 and instant < self.spans[index].end else None

    def _hold_unpriced(self, meter: str, segments: list[Segment]) -> None:
        held: dict[tuple[Reason, str, str], list[Segment]] = {}
        for segment in segments:
            why = _why_unpriced(self._span_at(segment.start), segment)
            if why:
                held.setdefault(why, []).append(segment)
        for (reason, key, value), some in held.items():
            quantity = _sum(some)
            self.quarantined.append(Quarantined(reason, meter, key, value, quantity, tuple(some)))

    def _usage(self, run: _Run, charge: UsageCharge, segments: list[Segment]) -> Line | None:
        start, end = run.start, run.end
        mine = [segment for segment in segments if run.covers(segment)] if run.dimension[0] else segments
        used = [segment for segment in mine if start <= segment.start < end]
        if not used:
            return None
        before = after = whole = _sum(used)
        if len(used) == len(mine):
            before = _ZERO
        else:
            before = _sum([segment for segment in mine if segment.start < start])
            after = before + after
            whole = after + _sum([segment for segment in mine if segment.start >= end])
        if whole.numerator < 0 and all(segment.start < end for segment in mine):
            self.quarantined.append(Quarantined("negative_total", *run.price.selector, whole, tuple(mine)))
        # Corrections can take a position below zero for a while; nothing is credited there, later usage makes up for it first.
        low, high = _at_least_zero(before), _at_least_zero(after)
        reached = high if whole is after else max(whole, high)
        parts = tuple(_parts(charge, in_full(run.price.allowance), low, high, reached))
        quantity = high - low if low else high
        return Line("usage", *run.heading, quantity, self._rounded(parts), parts, tuple(sorted(used, key=_in_time)))

    def _fee(self, run: _Run, charge: FlatFee) -> Line | None:
        begun = sum(span.accrued for span in self.spans[run.first : run.last + 1])
        if not begun:
            return None
        parts = (Part(f"{begun} of {self.days} days", Fraction(begun, self.days), charge.amount),)
        return Line("fee", *run.heading, Fraction(begun), self._rounded(parts), parts)

    def _rounded(self, parts: tuple[Part, ...]) -> Money:
        return round_line(sum((part.amount for part in parts), _ZERO), self.currency)


def _why_unpriced(span: Span | None, segment: Segment) -> tuple[Reason, str, str] | None:
    if span is None:
        return "no_price_in_force", "", ""
    if span.version.price_of(segment.meter, segment.dims) is not None:
        return None
    key = span.version.dimension_of(segment.meter)[0]
    return ("unknown_value", key, segment.dims.get(key, "")) if key else ("unknown_meter", "", "")


def _sum(segments: Sequence[Segment]) -> Fraction:
    if len(segments) == 1:
        return segments[0].quantity
    return sum((segment.quantity for segment in segments), _ZERO)


def _at_least_zero(quantity: Fraction) -> Fraction:
    return quantity if quantity.numerator > 0 else _ZERO


def _parts(charge: UsageCharge, allowance: Fraction, low: Fraction, high: Fraction, whole: Fraction) -> Iterator[Part]:
    if not allowance:
        if high != low:
            yield from charge.charge(low, high, whole)
        return
    before, after = max(low - allowance, _ZERO), max(high - allowance, _ZERO)
    free = (high - low) - (after - before)
    if free:
        yield Part(FREE, free, Decimal(0))
    if after != before:
        yield from charge.charge(before, after, max(whole - allowance, _ZERO))


def _in_time(segment: Segment) -> datetime:
    return segment.start
