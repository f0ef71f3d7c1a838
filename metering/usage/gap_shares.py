"""What gaps mean on bills: each tenant's part in a gap, the rule that holds for it, and the usage that it adds to a month.

A gap that has ended is settled once: for every tenant that it concerns a GapShare is written, with what was last known before the gap and
the meter's policy at that time, so that neither a later policy nor later usage changes what a past gap costs. Where the policy says
"ask", nothing is billed until an operator decides; deciding after the invoice is issued makes an adjustment on the next one.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from django.db import connection, transaction

from metering import memo, sql
from metering.models import Aggregation, GapDecision, GapPolicy, GapShare, Invoice, Meter, MeteringGap
from metering.money import MoneyError, exact, plain
from metering.periods import Period
from metering.pricing import BilledGap, LastKnown, Segment, gap_quantity, gap_segments
from metering.pricing.gaps import GapRule
from tenants.audit import acting
from tenants.models import BillingPeriod, Tenant
from tenants.problems import Conflict, invalid

SETTLE_AFTER = timedelta(minutes=2)
"""The rollups of the hour before a gap are there by then."""
MOST_AT_ONCE = 500


def settle(now: datetime) -> int:
    """Settle gaps that have ended; how many. Safe to run at once in several workers: a gap is locked while it is settled."""
    waiting = MeteringGap.objects.filter(settled_at=None, ends_at__lte=now - SETTLE_AFTER).order_by("pk")
    done = 0
    for pk in list(waiting.values_list("pk", flat=True)[:MOST_AT_ONCE]):
        with acting("system:metering", "a gap has ended"), transaction.atomic():
            gap = MeteringGap.objects.select_for_update(skip_locked=True, of=("self",)).filter(pk=pk, settled_at=None)
            found = gap.select_related("tenant").first()
            if found is not None:
                _settle(found, now)
                done += 1
    return done


def _settle(gap: MeteringGap, now: datetime) -> None:
    meter = Meter.objects.filter(pk=gap.meter).first()
    if meter is not None and gap.ends_at is not None:
        last = _last_known(gap, meter)
        if gap.tenant_id is not None:
            last.setdefault(gap.tenant_id, [])
        GapShare.objects.bulk_create(
            [
                GapShare(
                    gap=gap,
                    tenant_id=tenant_id,
                    meter=meter.pk,
                    starts_at=gap.starts_at,
                    ends_at=gap.ends_at,
                    last=values,
                    policy=meter.gap_policy,
                    cap_seconds=meter.gap_cap_seconds,
                    changed_at=now,
                )
                for tenant_id, values in sorted(last.items())
            ]
        )
    gap.settled_at = now
    gap.save(update_fields=["settled_at"])


def _last_known(gap: MeteringGap, meter: Meter) -> dict[int, list[dict[str, object]]]:
    """By tenant, what was last known before the gap: of the collector's node and subject, where the usage names them."""
    is_level = meter.aggregation == Aggregation.LEVEL
    hold = timedelta(seconds=meter.hold_seconds)
    found: dict[int, list[dict[str, object]]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            _LAST_LEVEL if is_level else _LAST_HOUR,
            {
                "tenant": gap.tenant_id,
                "meter": meter.pk,
                "start": gap.starts_at,
                "node": gap.node,
                "subject": gap.subject if gap.tenant_id is None else "",
                "earliest": gap.starts_at - hold,
            },
        )
        for tenant_id, dims, micro, level_at in cursor.fetchall():
            value = Fraction(int(micro), 1 if is_level else 3600)
            if value > 0:
                held = {"known_until": (level_at + hold).astimezone(UTC).isoformat()} if is_level else {}
                found[tenant_id].append({"dims": json.loads(dims), "micro_per_second": str(value), **held})
    return found


# --------------------------------------------------------------------------------------------------------------- billing


def rule_of(share: GapShare) -> GapRule:
    """What is done about the share now: the decision, else the policy; nothing while it waits for a decision."""
    if share.decision:
        return _RULES[share.decision]
    return "last" if share.policy == GapPolicy.LAST else "none"


_RULES: dict[str, GapRule] = {"none": "none", "last": "last", "amount": "amount"}


def billed(share: GapShare) -> BilledGap:
    """The share as the rules of pricing see it."""
    return BilledGap(
        ref=f"gap:{share.gap_id}",
        meter=share.meter,
        start=share.starts_at.astimezone(UTC),
        end=share.ends_at.astimezone(UTC),
        rule=rule_of(share),
        cap=timedelta(seconds=share.cap_seconds),
        last=tuple(
            LastKnown(
                each["dims"],
                Fraction(each["micro_per_second"]),
                datetime.fromisoformat(each["known_until"]) if "known_until" in each else None,
            )
            for each in share.last
        ),
        amount=share.amount if share.decision == GapDecision.AMOUNT else None,
    )


def segments(months: Mapping[int, Period], edges: Sequence[datetime]) -> dict[int, list[Segment]]:
    """By tenant id, what gaps add to each tenant's month, cut at `edges`: one query."""
    return dict(zip(months, segments_of_spans(list(months.items()), edges), strict=True))


def segments_of_spans(spans: Sequence[tuple[int, Period]], edges: Sequence[datetime]) -> list[list[Segment]]:
    """For each (tenant id, span), what gaps add to it, cut at `edges`: one query."""
    if not spans:
        return []
    shares = _shares(
        tuple(sorted({tenant_id for tenant_id, _ in spans})),
        min(span.start for _, span in spans),
        max(span.end for _, span in spans),
    )
    return [
        [
            segment
            for share in shares.get(tenant_id, ())
            if share.ends_at > span.start and share.starts_at < span.end
            for segment in _segments(share, span, edges)
        ]
        for tenant_id, span in spans
    ]


def _segments(share: GapShare, span: Period, edges: Sequence[datetime]) -> list[Segment]:
    meter = memo.meters().get(share.meter) if rule_of(share) != "none" else None
    if meter is None:
        return []
    is_level = meter.aggregation == Aggregation.LEVEL
    return list(gap_segments(billed(share), span, edges, factor=meter.display_factor, is_level=is_level))


def _shares(tenants: tuple[int, ...], first: datetime, last: datetime) -> dict[int, list[GapShare]]:
    """Each tenant's shares that touch the time from `first` to `last`."""

    def read() -> dict[int, list[GapShare]]:
        found: dict[int, list[GapShare]] = defaultdict(list)
        for share in GapShare.objects.raw(_SHARES, [sql.ids(tenants), first, last]):
            found[share.tenant_id].append(share)
        return found

    return memo.once(("gap shares", tenants, first, last), read)


def waiting(periods: Mapping[int, BillingPeriod]) -> set[int]:
    """The tenants with a gap in their period that is to be decided upon by an operator."""
    rows = GapShare.objects.filter(tenant__in=list(periods), policy=GapPolicy.ASK, decision="")
    return {
        tenant_id
        for tenant_id, starts_at, ends_at in rows.values_list("tenant_id", "starts_at", "ends_at")
        if starts_at < periods[tenant_id].ends_at and ends_at > periods[tenant_id].starts_at
    }


def undecided(tenants: Iterable[int] | None = None) -> list[GapShare]:
    """Shares that wait for an operator, oldest first."""
    rows = GapShare.objects.filter(policy=GapPolicy.ASK, decision="").select_related("gap", "tenant")
    if tenants is not None:
        rows = rows.filter(tenant__in=list(tenants))
    return list(rows.order_by("starts_at", "pk"))


# -------------------------------------------------------------------------------------------------------------- deciding


def decide(
    share: GapShare, decision: str, *, amount: Decimal | None, reason: str, actor: str, now: datetime
) -> GapShare:
    """Say what is billed for a tenant's part in a gap; a later decision replaces an earlier one. Raises Invalid, and writes nothing then.

    `amount` is in display units (hours, GB), for the decision AMOUNT only.
    """
    if decision not in GapDecision.values:
        raise invalid("decision", f"Choose one of {', '.join(GapDecision.values)}.", "invalid_choice")
    if not reason.strip():
        raise invalid("reason", "Say why; the trail keeps it.", "required")
    if (amount is not None) != (decision == GapDecision.AMOUNT):
        raise invalid("amount", "Give a quantity where, and only where, a quantity is billed.", "amount")
    if amount is not None:
        _check_amount(amount)
    with acting(actor, reason), transaction.atomic():
        locked = GapShare.objects.select_for_update(of=("self",)).select_related("gap", "tenant").get(pk=share.pk)
        if decision == GapDecision.LAST and not locked.last:
            raise Conflict("Nothing was in use before this gap, so there is no last value to go on with.")
        locked.decision, locked.amount, locked.reason = decision, amount, reason.strip()[:300]
        locked.decided_by, locked.changed_at = actor[:200], now
        locked.save(update_fields=["decision", "amount", "reason", "decided_by", "changed_at"])
    return locked


def _check_amount(amount: Decimal) -> None:
    try:
        value = exact(amount)
    except MoneyError:
        raise invalid("amount", "Give a number.", "invalid") from None
    if value < 0:
        raise invalid("amount", "A quantity is not negative.", "min_value")
    if value > 10**9 or value * 10**6 % 1:
        raise invalid("amount", "Give at most a billion, with six decimals at most.", "max_digits")


# --------------------------------------------------------------------------------------------------------------- telling


@dataclass(frozen=True, slots=True)
class GapNote:
    """A gap as a bill shows it. `billed` in `unit`s, '' where nothing was; `ends_at` None while it is open."""

    collector: str
    node: str
    meter: str
    starts_at: datetime
    ends_at: datetime | None
    reason: str
    done: str
    billed: str = ""
    unit: str = ""

    def as_dict(self) -> dict[str, str]:
        """JSON values for a frozen snapshot."""
        return {
            "collector": self.collector,
            "node": self.node,
            "meter": self.meter,
            "from": self.starts_at.isoformat(),
            "to": self.ends_at.isoformat() if self.ends_at else "",
            "reason": self.reason,
            "done": self.done,
            "billed": self.billed,
            "unit": self.unit,
        }


def notes(tenant: Tenant, period: BillingPeriod) -> list[GapNote]:
    """The gaps of a tenant's period, in order of time, each with what was done about it."""
    return notes_of_many({tenant.pk: period}).get(tenant.pk, [])


def notes_of_many(periods: Mapping[int, BillingPeriod]) -> dict[int, list[GapNote]]:
    """`notes` of many tenants, each of its own period, by tenant id: two queries."""
    found: dict[int, list[GapNote]] = defaultdict(list)
    if not periods:
        return found
    span = {
        "tenant__in": list(periods),
        "starts_at__lt": max(period.ends_at for period in periods.values()),
    }
    first = min(period.starts_at for period in periods.values())
    shares = GapShare.objects.filter(ends_at__gt=first, **span).select_related("gap").order_by("starts_at", "pk")
    for share in shares:
        if _overlap(share, periods[share.tenant_id]):
            found[share.tenant_id].append(note_of(share))
    for gap in MeteringGap.objects.filter(settled_at=None, **span).order_by("starts_at"):
        if gap.tenant_id is not None and _overlap(gap, periods[gap.tenant_id]):
            done = "Not settled yet: nothing is billed for it so far."
            note = GapNote(gap.collector, gap.node, gap.meter, gap.starts_at, gap.ends_at, gap.reason, done)
            found[gap.tenant_id].append(note)
    for its in found.values():
        its.sort(key=lambda note: note.starts_at)
    return found


def _overlap(gap: GapShare | MeteringGap, period: BillingPeriod) -> bool:
    return gap.starts_at < period.ends_at and (gap.ends_at is None or gap.ends_at > period.starts_at)


def notes_of(invoice: Invoice) -> list[GapNote]:
    """The gaps of an invoice: as they were frozen when it was issued, as they stand now while it is a draft."""
    if not invoice.snapshot:
        return notes(invoice.tenant, invoice.period)
    return [
        GapNote(
            said["collector"],
            said.get("node", ""),
            said["meter"],
            datetime.fromisoformat(said["from"]),
            datetime.fromisoformat(said["to"]) if said["to"] else None,
            said["reason"],
            said.get("done", "Nothing is billed for it."),
            said.get("billed", ""),
            said.get("unit", ""),
        )
        for said in json.loads(invoice.snapshot).get("gaps", [])
    ]


def note_of(share: GapShare) -> GapNote:
    """The share with what was done about it, in words."""
    gap, meter = share.gap, memo.meters().get(share.meter)
    quantity, unit = Fraction(0), ""
    if meter is not None:
        is_level = meter.aggregation == Aggregation.LEVEL
        quantity = gap_quantity(billed(share), factor=meter.display_factor, is_level=is_level)
        unit = f"{meter.display_unit} × hour" if is_level else meter.display_unit
    return GapNote(
        gap.collector, gap.node, share.meter, share.starts_at, share.ends_at, gap.reason, in_words(share),
        plain(quantity) if quantity else "", unit if quantity else "",
    )  # fmt: skip


def in_words(share: GapShare) -> str:
    """What is done about the share: a sentence for bills and pages."""
    if share.waits:
        return "Waits for a decision: nothing is billed for it so far."
    rule = rule_of(share)
    if rule == "amount":
        return "Billed as an operator decided."
    if rule == "last" and share.last:
        return f"Billed at the last known value, for at most {_span(share.cap_seconds)}."
    if rule == "last":
        return "Nothing was in use before it; nothing is billed."
    return "Nothing is billed for it."


def last_in_words(share: GapShare) -> list[str]:
    """'2 hour an hour, H100': what was last known, one text per set of dimensions, largest first."""
    meter = memo.meters().get(share.meter)
    if meter is None:
        return []
    is_level = meter.aggregation == Aggregation.LEVEL
    words = []
    for each in sorted(billed(share).last, key=lambda each: -each.micro_per_second):
        quantity = each.micro_per_second * (1 if is_level else 3600) / (10**6 * meter.display_factor)
        names = [value for name, value in sorted(each.dims.items()) if name in ("model", "volume", "project")]
        words.append(", ".join([f"{plain(quantity)} {meter.display_unit}{'' if is_level else ' an hour'}", *names]))
    return words


def _span(seconds: int) -> str:
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    words = [f"{count} {unit}" for count, unit in ((hours, "h"), (minutes, "min"), (left, "s")) if count]
    return " ".join(words) or "0 s"


_SHARES = """
    SELECT * FROM metering_gapshare WHERE tenant_id = ANY(%s::bigint[]) AND ends_at > %s AND starts_at < %s ORDER BY id
"""
_PLACE = """
    (NOT dims ? 'node' OR dims->>'node' = %(node)s)
    AND (%(subject)s = '' OR NOT dims ? 'device' OR dims->>'device' = %(subject)s)
"""
_LAST_HOUR = f"""
    SELECT tenant_id, dims::text, sum(quantity_micro), NULL FROM metering_usagerollup
    WHERE meter = %(meter)s AND (%(tenant)s::bigint IS NULL OR tenant_id = %(tenant)s)
      AND hour <= %(start)s - interval '1 hour' AND hour > %(start)s - interval '2 hours' AND {_PLACE}
    GROUP BY tenant_id, dims ORDER BY tenant_id, dims::text
"""  # noqa: S608  (a constant)
_LAST_LEVEL = f"""
    SELECT DISTINCT ON (tenant_id, dims_key) tenant_id, dims::text, level_micro, level_at FROM metering_usagerollup
    WHERE meter = %(meter)s AND (%(tenant)s::bigint IS NULL OR tenant_id = %(tenant)s)
      AND hour <= %(start)s AND hour >= %(earliest)s - interval '1 hour' AND level_micro IS NOT NULL AND level_at <= %(start)s AND {_PLACE}
    ORDER BY tenant_id, dims_key, hour DESC
"""  # noqa: S608  (a constant)
