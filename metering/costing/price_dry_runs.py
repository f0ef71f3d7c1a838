"""Dry runs: what a draft of prices would do to bills, before it is published.

Each tenant that pays by the book has its last and its present month rated twice, with the function that bills: under the prices in force,
and with the draft. A draft that starts in the future is tried as if it had been in force all that time, since it changes nothing before
it starts; a back-dated one from its start, because that is what bills would really change by. Usage that the draft does not cover is
named: it would be held, not billed.

A version is published only on the strength of a finished dry run of the very same prices, not older than a day.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models import F, Q

from metering import jobs
from metering.models import DryRunState, PriceBook, PriceBookVersion, PriceDryRun, PriceDryRunRow
from metering.periods import Period
from metering.prices import books_in_force, price_books
from metering.pricing import PriceVersion, Rating, Segment
from metering.usage import gap_shares, period_usage
from tenants import calendar
from tenants import periods as billing_periods
from tenants.models import Tenant, Tier
from tenants.problems import Conflict

from .rated_usage import edges, month_of, priced_dimensions, rate_usage

TASK = "price dry run"
CHUNK = 100
FRESH_FOR = timedelta(hours=24)
INLINE = 50
"""Up to so many tenants the answer is waited for; more are a job of their own."""
MOST_ROWS = 1000
KEEP = 5
"""Dry runs kept of a version."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A tenant's month under the old and the new prices, before tax."""

    tenant: Tenant
    month: str
    is_current: bool
    currency: str
    before: Decimal
    after: Decimal
    held: str

    @property
    def change(self) -> Decimal:
        """What the bill changes by."""
        return self.after - self.before


def affected(version: PriceBookVersion, now: datetime) -> list[Tenant]:
    """The tenants that pay by the version's book at some time from the start of last month on, by slug."""
    everyone = list(Tenant.objects.select_related("tier").order_by("slug"))
    since = now - timedelta(days=62)
    marked = replace(price_books.as_priced(version), starts_at=price_books.ALWAYS, ref=_MARK)
    tried = price_books.timelines(everyone, {version.book_id: (marked,)})
    return [
        tenant
        for tenant in everyone
        if any(each.ref == _MARK and (each.ends_at is None or each.ends_at > since) for each in tried[tenant.pk])
    ]


def compare(
    version: PriceBookVersion, tenants: Iterable[Tenant], now: datetime, *, chunk: int = CHUNK
) -> Iterator[list[Difference]]:
    """Both months of the tenants, some tenants at a time. Raises Invalid for prices that contradict themselves; writes nothing."""
    draft = price_books.check(version)
    changed = {version.book_id: _tried(draft, version, now)}
    everyone = list(tenants)
    for first in range(0, len(everyone), chunk):
        some = everyone[first : first + chunk]
        yield _both_months(some, price_books.timelines(some), price_books.timelines(some, changed), now)


def compare_tier(tier: Tier, book: PriceBook, starts_at: datetime, now: datetime) -> Iterator[list[Difference]]:
    """Both months of everyone who was on the tier in them, by its book and by `book` from `starts_at` on; writes nothing.

    A start in the future is tried as if the book had been in force in both months.
    """
    rows = price_books.books_of_tiers().get(tier.pk, ())
    start = price_books.ALWAYS if starts_at > now else starts_at
    kept = [(at, each) for at, each in rows if at < start]
    later = [(at, each) for at, each in rows if at > start and starts_at <= now]
    tried = {tier.pk: [*kept, (start, book.pk), *later]}
    everyone = list(Tenant.objects.select_related("tier").filter(tier_history__tier=tier).distinct().order_by("slug"))
    for first in range(0, len(everyone), CHUNK):
        some = everyone[first : first + CHUNK]
        yield _both_months(some, price_books.timelines(some), price_books.timelines(some, tiers_instead=tried), now)


def compare_own(
    tenant: Tenant, books: Sequence[tuple[int, datetime, datetime | None]], now: datetime
) -> list[Difference]:
    """Both months of the tenant as they are, and with these books of its own, each (id, start, end). Writes nothing."""
    tried = {tenant.pk: books}
    return _both_months(
        [tenant], price_books.timelines([tenant]), price_books.timelines([tenant], own_instead=tried), now
    )


def compare_move(tenants: Sequence[Tenant], tier: Tier, now: datetime) -> list[Difference]:
    """Both months of the tenants as they are, and as if they had been on the tier in them; their own books stay. Writes nothing."""
    books = books_in_force.read_books()
    rows = books.of_tiers.get(tier.pk) or ([(price_books.ALWAYS, books.default)] if books.default is not None else [])
    tried = dict.fromkeys(Tier.objects.values_list("pk", flat=True), rows)
    return _both_months(
        tenants, price_books.timelines(tenants), price_books.timelines(tenants, tiers_instead=tried), now
    )


def _both_months(
    tenants: Sequence[Tenant],
    before: Mapping[int, tuple[PriceVersion, ...]],
    after: Mapping[int, tuple[PriceVersion, ...]],
    now: datetime,
) -> list[Difference]:
    return [
        difference
        for is_current in (False, True)
        for difference in _month(tenants, _months(tenants, now, is_current), before, after, now, is_current)
    ]


def _tried(draft: PriceVersion, version: PriceBookVersion, now: datetime) -> tuple[PriceVersion, ...]:
    if draft.starts_at > now:
        return (replace(draft, starts_at=price_books.ALWAYS),)
    others = (each for each in price_books.published(version.book) if each.starts_at != draft.starts_at)
    return tuple(sorted([*others, draft], key=lambda each: each.starts_at))


def _months(tenants: Sequence[Tenant], now: datetime, is_current: bool) -> dict[int, Period]:
    found = {}
    for tenant in tenants:
        period = billing_periods.period_at(tenant, now)
        if not is_current:
            period = billing_periods.period_by_key(tenant, calendar.previous_month(period.key))
        found[tenant.pk] = month_of(period)
    return found


def _month(
    tenants: Sequence[Tenant],
    months: Mapping[int, Period],
    before: Mapping[int, tuple[PriceVersion, ...]],
    after: Mapping[int, tuple[PriceVersion, ...]],
    now: datetime,
    is_current: bool,
) -> Iterator[Difference]:
    """One reading of usage serves both ratings: it is cut wherever either of them changes its prices."""
    both = [*before.values(), *after.values()]
    cut_at = sorted(
        {edge for side in (before, after) for pk, month in months.items() for edge in edges(side[pk], month)[1:]}
    )
    kept = sorted(set[str]().union(*map(priced_dimensions, both)))
    usage = period_usage.of_many(months, cut_at, kept)
    gaps = gap_shares.segments(months, cut_at)
    for tenant in tenants:
        month = months[tenant.pk]
        used, extra = usage.get(tenant.pk, []), gaps.get(tenant.pk, [])
        old, new = (_rate(tenant, month, side[tenant.pk], used, extra, now) for side in (before, after))
        yield Difference(
            tenant, month.key, is_current, new.currency, old.subtotal.amount, new.subtotal.amount, _newly_held(old, new)
        )


def _rate(
    tenant: Tenant,
    month: Period,
    versions: Sequence[PriceVersion],
    usage: Iterable[period_usage.Usage],
    gaps: Iterable[Segment],
    now: datetime,
) -> Rating:
    return rate_usage(tenant, month, versions, usage, now if now in month else None, gaps)


def _newly_held(old: Rating, new: Rating) -> str:
    """Usage that the new prices do not cover and the old ones did, in words; '' where there is none."""
    known = {(each.meter, each.dim_value) for each in old.quarantined}
    names = {
        " ".join(filter(None, key)) for each in new.quarantined if (key := (each.meter, each.dim_value)) not in known
    }
    return ", ".join(sorted(names))[:300]


# ------------------------------------------------------------------------------------------------------------ as a record


def fingerprint(version: PriceBookVersion) -> str:
    """Names the version's start, currency and prices: another price, another fingerprint."""
    rows = [
        [row.meter, row.charge_model, format(row.unit_price.normalize(), "f"), row.params, row.dim_key, row.dim_value]
        for row in version.prices.order_by("meter", "dim_key", "dim_value")
    ]
    whole = [version.starts_at.isoformat(), version.book.currency, rows]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def request(version: PriceBookVersion, now: datetime, *, actor: str) -> PriceDryRun:
    """Ask for a dry run of a draft as it is now; the one that is under way or fresh already is answered instead of a second one.

    Raises Conflict for a published version, Invalid for prices that contradict themselves. Work it off with `work`.
    """
    if version.published_at is not None:
        raise Conflict(f"{price_books.reference(version)} is published already.")
    price_books.check(version)
    with transaction.atomic():
        PriceBookVersion.objects.select_for_update(of=("self",)).get(pk=version.pk)
        going = version.dry_runs.filter(
            fingerprint=fingerprint(version), state__in=[DryRunState.QUEUED, DryRunState.RUNNING]
        ).first()
        if going is not None:
            return going
        old = list(version.dry_runs.order_by("-id").values_list("pk", flat=True)[KEEP - 1 :])
        version.dry_runs.filter(pk__in=old).delete()
        return PriceDryRun.objects.create(
            version=version, fingerprint=fingerprint(version), requested_by=actor[:200], requested_at=now
        )


def work(run: PriceDryRun, now: datetime) -> PriceDryRun:
    """Work the dry run off, once however many workers try; it can be killed and is taken up again. Commits as it goes."""
    with jobs.once(TASK, str(run.pk), atomic=False) as claimed:
        if claimed is None:
            run.refresh_from_db()
            return run
        version = PriceBookVersion.objects.select_related("book").get(pk=run.version_id)
        run.rows.all().delete()
        run.state, run.done, run.error = DryRunState.RUNNING, 0, ""
        try:
            tenants = affected(version, now)
            run.total = len(tenants)
            run.save()
            for some in compare(version, tenants, now):
                with transaction.atomic():
                    PriceDryRunRow.objects.bulk_create([_row(run, each) for each in some])
                    run.done += len({each.tenant.pk for each in some})
                    run.save(update_fields=["done"])
                claimed.save_progress()
        except Exception as error:
            run.state, run.error = DryRunState.FAILED, f"{type(error).__name__}: {error}"[:300]
            run.save(update_fields=["state", "error"])
            raise
        run.state, run.finished_at = DryRunState.DONE, now
        run.save(update_fields=["state", "finished_at"])
    return run


def work_queue(now: datetime) -> int:
    """Work off what waits, and what a killed worker left; how many."""
    waiting = PriceDryRun.objects.filter(
        Q(state=DryRunState.QUEUED) | Q(state=DryRunState.RUNNING, requested_at__lt=now - jobs.LEASE)
    )
    done = 0
    for run in waiting.order_by("pk"):
        done += work(run, now).state == DryRunState.DONE
    return done


def _row(run: PriceDryRun, each: Difference) -> PriceDryRunRow:
    return PriceDryRunRow(
        run=run, tenant=each.tenant, month=each.month, is_current=each.is_current, currency=each.currency, before=each.before,
        after=each.after, held=each.held,
    )  # fmt: skip


def latest(version: PriceBookVersion) -> PriceDryRun | None:
    """The newest dry run of the version, whatever its state."""
    return version.dry_runs.order_by("-id").first()


def changed_rows(run: PriceDryRun) -> list[PriceDryRunRow]:
    """The bills that change or would hold usage, largest rise first; at most MOST_ROWS."""
    rows = run.rows.exclude(before=F("after"), held="").select_related("tenant")
    return list(rows.order_by(F("before") - F("after"), "pk")[:MOST_ROWS])


def standing(version: PriceBookVersion, now: datetime) -> PriceDryRun | None:
    """The finished dry run that allows publishing now: of these very prices, not older than a day."""
    fresh = version.dry_runs.filter(state=DryRunState.DONE, finished_at__gt=now - FRESH_FOR)
    return fresh.filter(fingerprint=fingerprint(version)).order_by("-id").first()


def publish(version: PriceBookVersion, now: datetime, *, actor: str, reason: str, force: bool = False) -> None:
    """`price_books.publish`, on the strength of a dry run. Raises Conflict without one, and what publishing raises."""
    with transaction.atomic():
        locked = PriceBookVersion.objects.select_for_update(of=("self",)).select_related("book").get(pk=version.pk)
        if locked.published_at is None and standing(locked, now) is None:
            raise Conflict("Look at a dry run of these very prices first: there is none, or it is older than a day.")
        price_books.publish(locked, now, actor=actor, reason=reason, force=force)


_MARK = "dry run"
