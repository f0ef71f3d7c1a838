"""Which prices hold for which tenant when: books, the books of tiers, tenants' own books and their tiers, read in two statements.

What the books say is parsed once for as long as it stays the same; whether it has stayed the same is asked of the database every time.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from django.db import connection

from metering import memo, sql
from metering.pricing import BookInForce, PriceRow, PriceVersion, parse_version, timeline
from tenants import calendar
from tenants.models import Tenant

ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)

Versions = tuple[PriceVersion, ...]
TierBooks = Mapping[int, Sequence[tuple[datetime, int]]]
"""By tier id, since when which book is in force for it, oldest first."""


@dataclass(frozen=True, slots=True)
class Books:
    """Every book's published versions by book id, the default book, the books of tiers, and each book's currency."""

    versions: Mapping[int, Versions]
    default: int | None
    of_tiers: TierBooks
    currencies: Mapping[int, str]
    shared: dict[tuple[tuple[int | None, datetime], ...], Versions] = field(default_factory=dict, compare=False)
    """The timelines of tenants that were never on another tier and have no book of their own, by what holds since when."""


@dataclass(slots=True)
class Terms:
    """A tenant's own books, and since when it was on which tier: the first one holds from ever."""

    own: list[tuple[int, datetime, datetime | None]] = field(default_factory=list)
    tiers: list[tuple[int, datetime]] = field(default_factory=list)


def read_books() -> Books:
    """The books as they stand now. Raises PriceError for stored prices that make no sense."""
    return memo.once("price books", _read_books)


def timelines(
    tenants: Iterable[Tenant],
    instead: Mapping[int, Versions] | None = None,
    tiers_instead: TierBooks | None = None,
    own_instead: Mapping[int, Sequence[tuple[int, datetime, datetime | None]]] | None = None,
) -> dict[int, Versions]:
    """By tenant id, the price versions in force one after the other, as `pricing.rate` takes them; none without any book.

    To try something: `instead` has, by book id, versions in place of the published ones; `tiers_instead` the books of tiers;
    `own_instead`, by tenant id, its own books.
    """
    everyone = list(tenants)
    books, terms = read_books(), _terms(everyone)
    as_it_is = not instead and not tiers_instead
    versions = {**books.versions, **(instead or {})}
    of_tiers = {**books.of_tiers, **(tiers_instead or {})}
    shared = books.shared if as_it_is else {}
    by_tier: dict[int, Versions] = {}
    found: dict[int, Versions] = {}
    for tenant in everyone:
        tenant_id = tenant.pk
        its = terms[tenant_id]
        of_its_own = (own_instead or {}).get(tenant_id, its.own)
        if of_its_own or len(its.tiers) > 1:
            own = [BookInForce(versions[book], start, end) for book, start, end in of_its_own]
            rows = _whole_months(books_of(its.tiers, of_tiers, books.default), books.currencies, tenant.time_zone)
            found[tenant_id] = timeline(_layer(rows, versions), own)
        else:
            tier = its.tiers[0][0]
            if tier not in by_tier:
                key = tuple(books_of([(tier, ALWAYS)], of_tiers, books.default))
                if key not in shared:
                    shared[key] = timeline(_layer(key, versions))
                by_tier[tier] = shared[key]
            found[tenant_id] = by_tier[tier]
    return found


def book_at(tenant: Tenant, instant: datetime) -> int | None:
    """The id of the book by which the tenant pays at the aware instant."""
    books, terms = read_books(), _terms([tenant])[tenant.pk]
    own = (book for book, start, end in terms.own if start <= instant and (end is None or instant < end))
    rows = _whole_months(books_of(terms.tiers, books.of_tiers, books.default), books.currencies, tenant.time_zone)
    by_tier = (book for book, start in reversed(rows) if start <= instant)
    return next(own, None) or next(by_tier, books.default)


def books_of(
    tiers: Sequence[tuple[int, datetime]], of_tiers: TierBooks, default: int | None
) -> list[tuple[int | None, datetime]]:
    """Which book holds since when for whoever was on these tiers: it changes with the tier, and when the tier's book does."""
    found: list[tuple[int | None, datetime]] = []
    for (tier, start), end in zip(tiers, [*(start for _, start in tiers[1:]), None], strict=True):
        rows = of_tiers.get(tier, ())
        started = [book for at, book in rows if at <= start]
        found.append((started[-1] if started else default, start))
        found += [(book, at) for at, book in rows if start < at and (end is None or at < end)]
    return found


def _whole_months(
    rows: Sequence[tuple[int | None, datetime]], currencies: Mapping[int, str], zone: str
) -> list[tuple[int | None, datetime]]:
    """The same books, a change of currency from the start of its month on: a bill has one currency.

    tier_currency.py lets a tenant change its currency only when nothing was used in the month, and nothing can be settled any more.
    """
    found: list[tuple[int | None, datetime]] = []
    for book, start in rows:
        before = next((each for each, _ in reversed(found) if each is not None), None)
        if book is not None and before is not None and currencies[book] != currencies[before]:
            start = calendar.month_bounds(zone, calendar.month_key(zone, start))[0]
            found = [each for each in found if each[1] < start]
        found.append((book, start))
    return found


def _layer(books: Sequence[tuple[int | None, datetime]], versions: Mapping[int, Versions]) -> list[BookInForce]:
    """Books that follow one another, each until the next one starts."""
    changes = [(book, start) for at, (book, start) in enumerate(books) if at == 0 or books[at - 1][0] != book]
    ends: list[datetime | None] = [*(start for _, start in changes[1:]), None]
    return [
        BookInForce(versions[book], start, end)
        for (book, start), end in zip(changes, ends, strict=True)
        if book is not None and end != start
    ]


def _terms(tenants: Sequence[Tenant]) -> dict[int, Terms]:
    present = {tenant.pk: tenant.tier_id for tenant in tenants}
    return memo.once(("terms", *present), lambda: _read_terms(present))


def _read_terms(present: Mapping[int, int]) -> dict[int, Terms]:
    """`present` has the tenants' tiers as they are, which hold where no history says otherwise."""
    found: dict[int, Terms] = defaultdict(Terms)
    with connection.cursor() as cursor:
        cursor.execute(_TERMS, {"tenants": sql.ids(present)})
        for tenant_id, book, tier, start, end in cursor.fetchall():
            its = found[tenant_id]
            if book is not None:
                its.own.append((book, start, end))
            else:
                its.tiers.append((tier, start if its.tiers else ALWAYS))
    for tenant_id, tier in present.items():
        its = found[tenant_id]
        its.tiers = its.tiers or [(tier, ALWAYS)]
    return found


def _read_books() -> Books:
    with connection.cursor() as cursor:
        cursor.execute(_BOOKS)
        return _parse(cursor.fetchone()[0])


@lru_cache(maxsize=4)
def _parse(text: str) -> Books:
    stored = json.loads(text)
    versions: dict[int, list[PriceVersion]] = {book["id"]: [] for book in stored["books"]}
    currencies = {book["id"]: book["currency"] for book in stored["books"]}
    slugs = {book["id"]: book["slug"] for book in stored["books"]}
    for version in stored["versions"]:
        book = version["book_id"]
        rows = [
            PriceRow(price["meter"], price["model"], Decimal(price["unit_price"]), price["params"], price["key"], price["value"])
            for price in version["prices"]
        ]  # fmt: skip
        start = datetime.fromisoformat(version["starts_at"])
        versions[book].append(parse_version(f"{slugs[book]} v{version['number']}", start, currencies[book], rows))
    of_tiers: dict[int, list[tuple[datetime, int]]] = defaultdict(list)
    for row in stored["tiers"]:
        of_tiers[row["tier_id"]].append((datetime.fromisoformat(row["starts_at"]), row["book_id"]))
    default = next((book["id"] for book in stored["books"] if book["is_default"]), None)
    return Books({book: tuple(its) for book, its in versions.items()}, default, dict(of_tiers), currencies)


_BOOKS = """
    SELECT json_build_object(
        'books', COALESCE((
            SELECT json_agg(json_build_object('id', id, 'slug', slug, 'currency', currency, 'is_default', is_default) ORDER BY id)
            FROM metering_pricebook
        ), '[]'),
        'tiers', COALESCE((
            SELECT json_agg(json_build_object('tier_id', tier_id, 'book_id', book_id, 'starts_at', starts_at) ORDER BY tier_id, starts_at)
            FROM metering_tierpricebook
        ), '[]'),
        'versions', COALESCE((
            SELECT json_agg(json_build_object(
                'book_id', version.book_id, 'number', version.number, 'starts_at', version.starts_at, 'prices', COALESCE((
                    SELECT json_agg(json_build_object(
                        'meter', meter, 'model', charge_model, 'unit_price', unit_price::text, 'params', params, 'key', dim_key, 'value', dim_value
                    ) ORDER BY meter, dim_key, dim_value) FROM metering_price price WHERE price.version_id = version.id
                ), '[]')
            ) ORDER BY version.book_id, version.starts_at)
            FROM metering_pricebookversion version WHERE version.published_at IS NOT NULL
        ), '[]')
    )::text
"""
_TERMS = """
    SELECT tenant_id, book_id, tier_id, starts_at, ends_at FROM (
        SELECT tenant_id, book_id, NULL::bigint AS tier_id, starts_at, ends_at, id FROM metering_tenantpricebook
        WHERE tenant_id = ANY(%(tenants)s::bigint[])
        UNION ALL
        SELECT tenant_id, NULL, tier_id, starts_at, NULL, id FROM tenants_tierhistory WHERE tenant_id = ANY(%(tenants)s::bigint[])
    ) terms ORDER BY starts_at, id
"""
