"""Price books in use: which prices a tenant pays when, and how new versions come into force.

A tenant pays by a book of its own while one is assigned, else by the book of the tier it was on at the time, else by the default book.
A book is a sequence of published versions; a version that has started never changes (the database refuses), so prices change by
publishing the next one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from django.db import transaction
from django.db.models import Max, Prefetch

from tenants.audit import acting
from tenants.models import Tenant, TierHistory
from tenants.problems import Conflict, Invalid, invalid

from . import memo
from .models import Meter, Price, PriceBook, PriceBookVersion, TenantPriceBook, TierPriceBook
from .money import MoneyError
from .pricing import (
    EVERYTHING,
    BookInForce,
    PriceError,
    PriceRow,
    PriceVersion,
    check_publishable,
    parse_version,
    timeline,
)

ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


class NoPriceBookError(LookupError):
    """The tenant has no book of its own, its tier names none, and there is no default book."""


def book_for(tenant: Tenant, instant: datetime) -> PriceBook:
    """The book whose prices hold for the tenant at the aware instant. Raises NoPriceBookError."""
    own = TenantPriceBook.objects.filter(tenant=tenant, starts_at__lte=instant).order_by("-starts_at").first()
    if own is not None and (own.ends_at is None or instant < own.ends_at):
        return own.book
    tier_id = next((tier for tier, start in reversed(_tiers([tenant])[tenant.pk]) if start <= instant), tenant.tier_id)
    book = PriceBook.objects.filter(pk__in=TierPriceBook.objects.filter(tier=tier_id).values("book")).first()
    book = book or PriceBook.objects.filter(is_default=True).first()
    if book is None:
        raise NoPriceBookError("There is no price book for this tenant, and no default one.")
    return book


def versions_for(tenant: Tenant) -> tuple[PriceVersion, ...]:
    """The price versions in force for the tenant, one after the other, as `pricing.rate` takes them; none without any book."""
    return timelines([tenant])[tenant.pk]


def timelines(
    tenants: Iterable[Tenant], instead: Mapping[int, tuple[PriceVersion, ...]] | None = None
) -> dict[int, tuple[PriceVersion, ...]]:
    """`versions_for` of many tenants, by tenant id, in a few queries. `instead`: by book id, versions to try in place of the published ones."""
    everyone = list(tenants)
    versions, default, of_tier = memo.once("price books", _all_books)
    versions = {**versions, **(instead or {})}
    own: dict[int, list[BookInForce]] = defaultdict(list)
    for row in TenantPriceBook.objects.filter(tenant__in=[tenant.pk for tenant in everyone]):
        own[row.tenant_id].append(BookInForce(versions[row.book_id], row.starts_at, row.ends_at))
    tiers = _tiers(everyone) if of_tier else {}
    found: dict[int, tuple[PriceVersion, ...]] = {}
    shared: dict[int | None, tuple[PriceVersion, ...]] = {}
    for tenant in everyone:
        layer = _tier_layer(
            [(of_tier.get(tier, default), start) for tier, start in tiers.get(tenant.pk, [(tenant.tier_id, ALWAYS)])],
            versions,
        )
        if tenant.pk in own or len(layer) > 1:
            found[tenant.pk] = timeline(layer, own.get(tenant.pk, []))
        else:
            book_id = of_tier.get(tenant.tier_id, default)
            if book_id not in shared:
                shared[book_id] = timeline(layer)
            found[tenant.pk] = shared[book_id]
    return found


def _tiers(tenants: Sequence[Tenant]) -> dict[int, list[tuple[int, datetime]]]:
    """Since when each tenant was on which tier, in order; the first one holds from ever."""
    found: dict[int, list[tuple[int, datetime]]] = defaultdict(list)
    rows = TierHistory.objects.filter(tenant__in=[tenant.pk for tenant in tenants]).order_by("starts_at", "id")
    for tenant_id, tier_id, starts_at in rows.values_list("tenant_id", "tier_id", "starts_at"):
        found[tenant_id].append((tier_id, starts_at if found[tenant_id] else ALWAYS))
    return found


def _tier_layer(
    books: Sequence[tuple[int | None, datetime]], versions: dict[int, tuple[PriceVersion, ...]]
) -> list[BookInForce]:
    """Books that follow one another, each until the next one starts."""
    changes = [(book, start) for at, (book, start) in enumerate(books) if at == 0 or books[at - 1][0] != book]
    ends: list[datetime | None] = [*(start for _, start in changes[1:]), None]
    return [
        BookInForce(versions[book], start, end)
        for (book, start), end in zip(changes, ends, strict=True)
        if book is not None and end != start
    ]


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


def _all_books() -> tuple[dict[int, tuple[PriceVersion, ...]], int | None, dict[int, int]]:
    """The priced versions of every book, the default book, and the book of each tier."""
    books = {book.pk: book for book in _books_with_versions()}
    versions = {pk: tuple(map(as_priced, book.versions.all())) for pk, book in books.items()}
    default = next((pk for pk, book in books.items() if book.is_default), None)
    return versions, default, dict(TierPriceBook.objects.values_list("tier_id", "book_id"))


def _books_with_versions() -> Iterable[PriceBook]:
    published = PriceBookVersion.objects.filter(published_at__isnull=False).select_related("book")
    return PriceBook.objects.prefetch_related(
        Prefetch("versions", published.order_by("starts_at").prefetch_related("prices"))
    )


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
        _parsed(f"{book.slug} draft", starts_at, book.currency, rows)
        number = (book.versions.aggregate(Max("number"))["number__max"] or 0) + 1
        version = PriceBookVersion.objects.create(book=book, number=number, starts_at=starts_at, note=note)
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
        check(version)
        return version


def check(version: PriceBookVersion) -> PriceVersion:
    """The version as it would be priced. Raises Invalid with what is wrong, naming the meter."""
    return _parsed(reference(version), version.starts_at, version.book.currency, _rows_of(version))


def _parsed(ref: str, starts_at: datetime, currency: str, rows: Sequence[PriceRow]) -> PriceVersion:
    try:
        priced = parse_version(ref, starts_at, currency, rows)
    except (MoneyError, PriceError) as error:
        raise invalid("prices", f"{error}.", "invalid_prices") from None
    known = set(Meter.objects.values_list("key", flat=True)) | {EVERYTHING}
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
    tenant: Tenant, book: PriceBook, starts_at: datetime, ends_at: datetime | None, *, reason: str, actor: str
) -> TenantPriceBook:
    """Give a tenant a book of its own in [starts_at, ends_at). Raises Invalid.

    The book is in the currency that the tenant is billed in: nothing converts, and a bill has one currency.
    """
    if not reason.strip():
        raise invalid("reason", "Say why; the trail keeps it.", "required")
    if ends_at is not None and ends_at <= starts_at:
        raise invalid("ends_at", "The end lies after the start.", "order")
    if book.currency != book_for(tenant, starts_at).currency:
        raise invalid(
            "book", f"{book.name} is in {book.currency}, and the tenant is billed in another currency.", "currency"
        )
    if not book.versions.filter(published_at__isnull=False, starts_at__lte=starts_at).exists():
        raise invalid("book", f"{book.name} has no published prices at that time.", "no_version")
    with acting(actor, reason), transaction.atomic():
        Tenant.objects.select_for_update().get(pk=tenant.pk)
        others = TenantPriceBook.objects.filter(tenant=tenant).exclude(ends_at__lte=starts_at)
        if (others.filter(starts_at__lt=ends_at) if ends_at else others).exists():
            raise invalid("starts_at", "The tenant has another book of its own in that time.", "overlap")
        return TenantPriceBook.objects.create(
            tenant=tenant, book=book, starts_at=starts_at, ends_at=ends_at, reason=reason
        )


def _rows_of(version: PriceBookVersion | None) -> list[PriceRow]:
    if version is None:
        return []
    return [
        PriceRow(row.meter, row.charge_model, row.unit_price, row.params, row.dim_key, row.dim_value)
        for row in version.prices.all()
    ]


__all__ = [
    "Invalid", "NoPriceBookError", "as_priced", "assign", "book_for", "check", "create", "latest", "new_version", "publish", "published", "reference", "timelines",
    "versions_for",
]  # fmt: skip
