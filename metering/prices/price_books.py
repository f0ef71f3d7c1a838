"""Price books in use: which prices a tenant pays when, and how new versions come into force.

A tenant pays by a book of its own while one is assigned, else by the book that the tier it was on had at the time, else by the default
book (see books_in_force.py).
A book is a sequence of published versions; a version that has started never changes (the database refuses), so prices change by
publishing the next one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.db.models import Max

from metering.models import Meter, Price, PriceBook, PriceBookVersion, TenantPriceBook, TierPriceBook
from metering.money import MoneyError
from metering.pricing import EVERYTHING, PriceError, PriceRow, PriceVersion, check_publishable, parse_version
from tenants.audit import acting
from tenants.models import Tenant, TenantState, Tier
from tenants.problems import Conflict, Invalid, invalid

from . import books_in_force
from .books_in_force import ALWAYS, timelines

EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""No price starts before the first or from the second on."""


class NoPriceBookError(LookupError):
    """The tenant has no book of its own, its tier names none, and there is no default book."""


def book_for(tenant: Tenant, instant: datetime) -> PriceBook:
    """The book whose prices hold for the tenant at the aware instant. Raises NoPriceBookError."""
    book = books_in_force.book_at(tenant, instant)
    if book is None:
        raise NoPriceBookError("There is no price book for this tenant, and no default one.")
    return PriceBook.objects.get(pk=book)


def versions_for(tenant: Tenant) -> tuple[PriceVersion, ...]:
    """The price versions in force for the tenant, one after the other, as `pricing.rate` takes them; none without any book."""
    return timelines([tenant])[tenant.pk]


def books_of_tiers() -> books_in_force.TierBooks:
    """By tier id, since when which book is in force for it, oldest first."""
    return books_in_force.read_books().of_tiers


def as_priced(version: PriceBookVersion) -> PriceVersion:
    """A stored version as the rules of pricing see it. Raises PriceError for rows that make no sense."""
    rows = [
        PriceRow(row.meter, row.charge_model, row.unit_price, row.params, row.dim_key, row.dim_value)
        for row in version.prices.all()
    ]
    return parse_version(reference(version), version.starts_at, version.book.currency, rows)


def reference(version: PriceBookVersion) -> str:
    """What bills call a version: 'default v3'."""
    return f"{version.book.slug} v{version.number}"


def latest(book: PriceBook) -> PriceBookVersion | None:
    """The version with the highest number, drafts included."""
    return book.versions.order_by("-number").first()


def published(book: PriceBook) -> tuple[PriceVersion, ...]:
    """The book's published versions as the rules of pricing see them, in order."""
    rows = book.versions.filter(published_at__isnull=False).select_related("book").prefetch_related("prices")
    return tuple(map(as_priced, rows.order_by("starts_at")))


# ---------------------------------------------------------------------------------------------------------------- change


def create(slug: str, name: str, currency: str, *, actor: str) -> PriceBook:
    """A book without versions, which nobody pays by yet. Raises Invalid."""
    if not re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?", slug):
        raise invalid("slug", "Use lower-case letters, digits and inner hyphens, at most 40.", "invalid")
    with acting(actor, f"price book {slug}"), transaction.atomic():
        book, made = PriceBook.objects.get_or_create(slug=slug, defaults={"name": name, "currency": currency})
        if not made:
            raise invalid("slug", "There is a book of that name.", "unique")
        return book


def new_version(
    book: PriceBook, starts_at: datetime, prices: Sequence[PriceRow] | None = None, *, note: str = "", actor: str
) -> PriceBookVersion:
    """A draft that can still be edited. Without `prices` it begins as a copy of the latest version. Raises Invalid."""
    with acting(actor, note), transaction.atomic():
        PriceBook.objects.select_for_update().get(pk=book.pk)
        before = latest(book)
        if book.versions.filter(starts_at=starts_at).exists():
            raise invalid("starts_at", "Another version of this book starts at that instant.", "unique")
        rows = _rows_of(before) if prices is None else list(prices)
        _check_start(starts_at)
        _parsed(f"{book.slug} draft", starts_at, book.currency, rows)
        number = (book.versions.aggregate(Max("number"))["number__max"] or 0) + 1
        version = PriceBookVersion.objects.create(book=book, number=number, starts_at=starts_at, note=note)
        _write(version, rows)
        check(version)
        return version


def revise(
    version: PriceBookVersion,
    *,
    starts_at: datetime | None = None,
    prices: Sequence[PriceRow] | None = None,
    note: str | None = None,
    actor: str,
) -> PriceBookVersion:
    """Change a draft: what is None stays, `prices` replace all of them. Raises Invalid, or Conflict for a published version."""
    with acting(actor, note or ""), transaction.atomic():
        draft = _locked_draft(version)
        if starts_at is not None:
            _check_start(starts_at)
        draft.starts_at = starts_at or draft.starts_at
        draft.note = draft.note if note is None else note
        if draft.book.versions.filter(starts_at=draft.starts_at).exclude(pk=draft.pk).exists():
            raise invalid("starts_at", "Another version of this book starts at that instant.", "unique")
        rows = _rows_of(draft) if prices is None else list(prices)
        _parsed(reference(draft), draft.starts_at, draft.book.currency, rows)
        draft.save(update_fields=["starts_at", "note"])
        if prices is not None:
            draft.prices.all().delete()
            _write(draft, rows)
        return draft


def discard(version: PriceBookVersion, *, actor: str) -> None:
    """Throw a draft away, with its dry runs. Raises Conflict for a published version."""
    with acting(actor, f"draft {reference(version)} thrown away"), transaction.atomic():
        _locked_draft(version).delete()


def withdraw(version: PriceBookVersion, now: datetime, *, reason: str, actor: str) -> None:
    """Make a published version that has not started a draft again. Raises Conflict once it has started, Invalid without a reason."""
    if not reason.strip():
        raise invalid("reason", "Say why; the trail keeps it.", "required")
    with acting(actor, reason), transaction.atomic():
        found = PriceBookVersion.objects.select_for_update(of=("self",)).select_related("book").get(pk=version.pk)
        if found.published_at is None:
            raise Conflict(f"{reference(found)} is a draft already.")
        if found.starts_at <= now:
            raise Conflict(f"{reference(found)} has started and never changes. Publish the next version.")
        found.published_at = None
        found.save(update_fields=["published_at"])


def _check_future(starts_at: datetime, now: datetime, force: bool) -> None:
    if starts_at <= now and not force:
        raise invalid("starts_at", "It starts in the future; what was used already keeps its price.", "invalid_start")


def _check_start(at: datetime, field: str = "starts_at") -> None:
    """A full hour (UTC) of a year in which there is usage. Raises Invalid."""
    if not EARLIEST <= at < LATEST:
        raise invalid(field, f"Name a time from {EARLIEST:%Y} to {LATEST.year - 1}.", "invalid_start")
    if at.minute or at.second or at.microsecond:
        verb = "starts" if field == "starts_at" else "ends"
        raise invalid(field, f"It {verb} on a full hour (UTC).", "invalid_start")


def _locked_draft(version: PriceBookVersion) -> PriceBookVersion:
    rows = PriceBookVersion.objects.select_for_update(of=("self",)).select_related("book")
    found = rows.filter(pk=version.pk).first()
    if found is None:
        raise Conflict(f"{reference(version)} is gone.")
    if found.published_at is not None:
        raise Conflict(
            f"{reference(found)} is published; only a draft changes. Withdraw it before it starts, or draft the next version."
        )
    return found


def _write(version: PriceBookVersion, rows: Iterable[PriceRow]) -> None:
    Price.objects.bulk_create(
        Price(
            version=version,
            meter=row.meter,
            charge_model=row.model,
            unit_price=row.unit_price,
            params=dict(row.params),
            dim_key=row.dim_key,
            dim_value=row.dim_value,
        )
        for row in rows
    )


def check(version: PriceBookVersion) -> PriceVersion:
    """The version as it would be priced. Raises Invalid with what is wrong, naming the meter."""
    return _parsed(reference(version), version.starts_at, version.book.currency, _rows_of(version))


def _parsed(ref: str, starts_at: datetime, currency: str, rows: Sequence[PriceRow]) -> PriceVersion:
    try:
        priced = parse_version(ref, starts_at, currency, rows)
    except (MoneyError, PriceError) as error:
        raise invalid("prices", f"{error}.", "invalid_prices") from None
    known = set(Meter.objects.values_list("key", flat=True)) | {EVERYTHING}
    for row in rows:
        if row.model == "flat" and row.meter != EVERYTHING and not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", row.meter):
            raise invalid(
                "prices", "A fee is named in lower-case letters, digits, - and _, such as platform_fee.", "invalid_name"
            )
    strange = sorted({row.meter for row in rows if row.model != "flat"} - known)
    if strange:
        raise invalid("prices", f"There is no meter {', '.join(strange)}.", "unknown_meter")
    return priced


def publish(version: PriceBookVersion, now: datetime, *, actor: str, reason: str = "", force: bool = False) -> None:
    """Bring a draft into force at its start. Raises Invalid or Conflict; nothing is published then.

    A start in the past would rewrite what was shown and billed: only `force` allows it, and then a `reason` is asked for and audited.
    """
    if force and not reason.strip():
        raise invalid("reason", "Say why prices change after the fact; the trail keeps it.", "required")
    with acting(actor, reason), transaction.atomic():
        version = PriceBookVersion.objects.select_for_update(of=("self",)).select_related("book").get(pk=version.pk)
        if version.published_at is not None:
            raise Conflict(f"{reference(version)} is published already.")
        priced = check(version)
        if not priced.prices:
            raise invalid("prices", "A version without prices would bill nothing; add one.", "required")
        others = version.book.versions.filter(published_at__isnull=False).exclude(pk=version.pk)
        try:
            check_publishable(priced, map(as_priced, others), now, force=force)
        except PriceError as error:
            raise invalid("starts_at", f"{error}.", "invalid_start") from None
        version.published_at = now
        version.save(update_fields=["published_at"])


def assign(
    tenant: Tenant,
    book: PriceBook,
    starts_at: datetime,
    ends_at: datetime | None,
    now: datetime,
    *,
    reason: str,
    actor: str,
    force: bool = False,
) -> TenantPriceBook:
    """Give a tenant a book of its own in [starts_at, ends_at). Raises Invalid.

    A start in the past changes bills of open periods and adjusts issued ones: only `force` allows it. The book is in the currency that
    the tenant is billed in: nothing converts, and a bill has one currency.
    """
    if not reason.strip():
        raise invalid("reason", "Say why; the trail keeps it.", "required")
    _check_future(starts_at, now, force)
    _check_start(starts_at)
    if ends_at is not None:
        _check_start(ends_at, "ends_at")
        if ends_at <= starts_at:
            raise invalid("ends_at", "The end lies after the start.", "order")
    if book.currency != book_for(tenant, starts_at).currency:
        raise invalid(
            "book", f"{book.name} is in {book.currency}, and the tenant is billed in another currency.", "currency"
        )
    _check_currency(book, [tenant])
    _check_priced(book, starts_at)
    with acting(actor, reason), transaction.atomic():
        Tenant.objects.select_for_update().get(pk=tenant.pk)
        others = TenantPriceBook.objects.filter(tenant=tenant).exclude(ends_at__lte=starts_at)
        if (others.filter(starts_at__lt=ends_at) if ends_at else others).exists():
            raise invalid("starts_at", "The tenant has another book of its own in that time.", "overlap")
        return TenantPriceBook.objects.create(
            tenant=tenant, book=book, starts_at=starts_at, ends_at=ends_at, reason=reason.strip()[:300]
        )


def end_own(
    own: TenantPriceBook, ends_at: datetime, now: datetime, *, reason: str, actor: str, force: bool = False
) -> TenantPriceBook:
    """End a tenant's own book at `ends_at`; its tier's prices hold from then on. Raises Invalid.

    An end in the past changes what has been used since, as a start in the past does: only `force` allows it. A later end than before is
    possible in the tenant's currency only.
    """
    if not reason.strip():
        raise invalid("reason", "Say why; the trail keeps it.", "required")
    if ends_at <= now and not force:
        raise invalid("ends_at", "It ends in the future; what was used already keeps its price.", "invalid_start")
    _check_start(ends_at, "ends_at")
    with acting(actor, reason), transaction.atomic():
        Tenant.objects.select_for_update().get(pk=own.tenant_id)
        found = TenantPriceBook.objects.select_for_update().filter(pk=own.pk).first()
        if found is None:
            raise Conflict("The assignment is gone.")
        if ends_at <= found.starts_at:
            raise invalid("ends_at", "The end lies after the start.", "order")
        if found.ends_at is not None and found.ends_at <= now and not force:
            raise Conflict("It has ended already.")
        others = TenantPriceBook.objects.filter(tenant=found.tenant_id, starts_at__gt=found.starts_at)
        if others.filter(starts_at__lt=ends_at).exists():
            raise invalid("ends_at", "The tenant has another book of its own from before that time on.", "overlap")
        if found.ends_at is not None and ends_at > found.ends_at:
            beyond = book_for(found.tenant, ends_at - timedelta(hours=1)).currency
            if beyond != found.book.currency:
                raise invalid("ends_at", f"The tenant is billed in {beyond} by then.", "currency")
        found.ends_at = ends_at
        found.save(update_fields=["ends_at"])
        return found


def take_back(own: TenantPriceBook, now: datetime, *, reason: str, actor: str) -> None:
    """Remove a tenant's own book that has not started. Raises Conflict once it has, Invalid without a reason."""
    if not reason.strip():
        raise invalid("reason", "Say why; the trail keeps it.", "required")
    with acting(actor, reason), transaction.atomic():
        found = TenantPriceBook.objects.select_for_update().filter(pk=own.pk).first()
        if found is None:
            raise Conflict("The assignment is gone.")
        if found.starts_at <= now:
            raise Conflict("The tenant pays by it already: end it instead.")
        found.delete()


def assign_tier(
    tier: Tier, book: PriceBook, starts_at: datetime, now: datetime, *, reason: str, actor: str, force: bool = False
) -> TierPriceBook:
    """Have a tier's tenants pay by the book from `starts_at` on; what was used before costs what it did. Raises Invalid.

    A start in the past changes bills of open periods and adjusts issued ones: only `force` allows it.
    """
    if not reason.strip():
        raise invalid("reason", "Say why; the trail keeps it.", "required")
    _check_future(starts_at, now, force)
    _check_start(starts_at)
    _check_priced(book, starts_at)
    with acting(actor, reason), transaction.atomic():
        Tier.objects.select_for_update().get(pk=tier.pk)
        if TierPriceBook.objects.filter(tier=tier, starts_at=starts_at).exists():
            raise invalid("starts_at", "Another book starts for the tier at that instant.", "unique")
        tenants = Tenant.objects.filter(tier=tier).exclude(state=TenantState.CLOSED).order_by("slug")
        _check_currency(book, tenants)
        books = books_in_force.read_books()
        others = {pk for pk, _ in books_in_force.books_of([(tier.pk, ALWAYS)], books.of_tiers, books.default)}
        strange = {books.currencies[pk] for pk in others if pk is not None} - {book.currency}
        if strange and tenants.exists():
            raise invalid(
                "book",
                f"{book.name} is in {book.currency}, and {tier.name} is billed in {', '.join(sorted(strange))}: "
                "nothing is converted, and a bill has one currency.",
                "currency",
            )
        return TierPriceBook.objects.create(tier=tier, book=book, starts_at=starts_at, reason=reason.strip()[:300])


def _check_currency(book: PriceBook, tenants: Iterable[Tenant]) -> None:
    """Raises Invalid when a tenant is billed in another currency than the book's."""
    others = [f"{tenant.slug} ({tenant.currency})" for tenant in tenants if tenant.currency != book.currency]
    if others:
        named = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
        raise invalid("book", f"{book.name} is in {book.currency}; billed in another currency: {named}.", "currency")


def _check_priced(book: PriceBook, starts_at: datetime) -> None:
    if not book.versions.filter(published_at__isnull=False, starts_at__lte=starts_at).exists():
        raise invalid("book", f"{book.name} has no published prices at that time.", "no_version")


def _rows_of(version: PriceBookVersion | None) -> list[PriceRow]:
    if version is None:
        return []
    return [
        PriceRow(row.meter, row.charge_model, row.unit_price, row.params, row.dim_key, row.dim_value)
        for row in version.prices.all()
    ]


__all__ = [
    "ALWAYS", "Invalid", "NoPriceBookError", "as_priced", "assign", "assign_tier", "book_for", "books_of_tiers", "check", "create", "discard", "end_own", "latest", "new_version", "publish", "published", "reference",
    "revise", "take_back", "timelines", "versions_for", "withdraw",
]  # fmt: skip
