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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final

from ..money import Money, round_line, total
from ..periods import Period, days
from .book import EVERYTHING, Price, PriceVersion, Selector
from .charges import FREE, FlatFee, Part, PriceError, UsageCharge, in_full
from .commitments import Spent, commitment_line
from .lines import LINE_KINDS, Line, LineKind, Quarantined, Rating, Reason, Segment
from .spans import Span, active, currency_of, spans_of

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
    spans = spans_of(versions, period, active(period, active_from, active_until, as_of))
    bill = _Bill(period, currency_of(spans, currency), spans)
    usage: dict[str, list[Segment]] = {}
    for segment in segments:
        bill.check(segment)
        usage.setdefault(segment.meter, []).append(segment)
    for meter in sorted({*usage, *(price.meter for span in spans for price in span.version.prices)}):
        bill.rate_meter(meter, usage.get(meter, []))
    bill.rate_commitment_of_bill()
    lines = sorted((line for _, line in bill.lines), key=_order)
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

    def covers(self, segment: Segment) -> bool:
        """Whether this price, and no other of its version, is the one for the segment's dimensions."""
        key, values = self.dimension
        value = segment.dims.get(key, "") if key else ""
        return (value if value in values else "") == self.price.dim_value


class _Bill:
    """The bill in the making: lines with the index of the span that each belongs to."""

    def __init__(self, period: Period, currency: str, spans: list[Span]) -> None:
        self.period = period
        self.currency = currency
        self.spans = spans
        self.days = len(days(period))
        self.lines: list[tuple[int, Line]] = []
        self.quarantined: list[Quarantined] = []
        self._starts = [span.start for span in spans]

    def check(self, segment: Segment) -> None:
        """`PriceError` for a segment that no single price can be in force for."""
        if segment.start not in self.period or segment.end > self.period.end:
            raise PriceError(f"usage of {segment.meter} at {segment.start.isoformat()} lies outside {self.period.key}")
        if segment.end - segment.start > _HOUR:
            last = segment.end - timedelta(microseconds=1)
            if self._span_at(segment.start) is not self._span_at(last):
                raise PriceError(f"usage of {segment.meter} from {segment.start.isoformat()} crosses a price change")

    def rate_meter(self, meter: str, segments: list[Segment]) -> None:
        """Add the meter's lines: usage or fee, then the commitments of its prices; and hold what has no price."""
        self._hold_unpriced(meter, segments)
        committed: dict[Selector, list[tuple[_Run, Line | None]]] = {}
        for run in self._runs(meter):
            charge = run.price.charge
            line = self._fee(run, charge) if isinstance(charge, FlatFee) else self._usage(run, charge, segments)
            if line:
                self.lines.append((run.first, line))
            if run.price.commitment:
                committed.setdefault(run.price.selector, []).append((run, line))
        for selector, runs in committed.items():
            spent = [
                Spent(run.price.commitment, tuple(self.spans[run.first : run.last + 1]), self._amount(line))
                for run, line in runs
                if run.price.commitment
            ]
            self._add_commitment(selector, spent, runs[-1][0].last)

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
        index = bisect_right(self._starts, instant) - 1
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

    def _runs(self, meter: str) -> Iterator[_Run]:
        running: dict[Selector, _Run] = {}
        for index, span in enumerate(self.spans):
            going_on: dict[Selector, _Run] = {}
            for price in span.version.prices_of(meter):
                run = running.get(price.selector)
                if run and self._goes_on(run, price, index):
                    run.last = index
                else:
                    run = _Run(price, span.version.dimension_of(meter), index, index)
                going_on[price.selector] = run
            yield from (run for selector, run in running.items() if going_on.get(selector) is not run)
            running = going_on
        yield from running.values()

    def _goes_on(self, run: _Run, price: Price, index: int) -> bool:
        before, span = self.spans[index - 1], self.spans[index]
        if run.price != price or run.dimension != span.version.dimension_of(price.meter) or before.end != span.start:
            return False
        # What counts towards a commitment must not share a line with what does not.
        return isinstance(price.charge, FlatFee) or before.version.commitment == span.version.commitment

    def _usage(self, run: _Run, charge: UsageCharge, segments: list[Segment]) -> Line | None:
        start, end = self.spans[run.first].start, self.spans[run.last].end
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
        return self._line("usage", run, high - low if low else high, parts, tuple(sorted(used, key=_in_time)))

    def _fee(self, run: _Run, charge: FlatFee) -> Line | None:
        begun = sum(span.accrued for span in self.spans[run.first : run.last + 1])
        if not begun:
            return None
        share = Fraction(begun, self.days)
        part = Part(f"{begun} of {self.days} days", share, charge.amount, share * Fraction(charge.amount))
        return self._line("fee", run, Fraction(begun), (part,))

    def _line(
        self, kind: LineKind, run: _Run, quantity: Fraction, parts: tuple[Part, ...], segments: tuple[Segment, ...] = ()
    ) -> Line:
        spans = self.spans[run.first : run.last + 1]
        unrounded = parts[0].amount if len(parts) == 1 else sum((part.amount for part in parts), _ZERO)
        return Line(
            kind,
            *run.price.selector,
            versions=tuple(dict.fromkeys(span.version.ref for span in spans)),
            start=spans[0].start,
            end=spans[-1].end,
            quantity=quantity,
            unrounded=unrounded,
            amount=round_line(unrounded, self.currency),
            parts=parts,
            segments=segments,
        )


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
        yield Part(FREE, free, Decimal(0), _ZERO)
    if after != before:
        yield from charge.charge(before, after, max(whole - allowance, _ZERO))


def _in_time(segment: Segment) -> datetime:
    return segment.start
