"""/price-books: books, their versions, a draft's dry run, and publishing. For operators: prices are the platform's, not a tenant's."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from metering.costing import price_dry_runs
from metering.prices import price_books
from tenants import access
from tenants.api.documentation import example, operation, page_of
from tenants.api.fields import StrictChoice, StrictText, choices, parse_instant
from tenants.api.serializers import PageQuery, StrictSerializer
from tenants.api.views import OPERATOR, ApiView
from tenants.models.tenant import CURRENCIES
from tenants.problems import invalid

from ..models import ChargeModel, PriceBook, PriceBookVersion, PriceDryRun, PriceDryRunRow
from ..money import Money, MoneyError, parse_decimal, plain
from ..pricing import PriceRow

TAGS = ["Prices"]
MOST_PRICES = 200
PARAMS = (
    'What the model needs, numbers as decimal strings: graduated and volume `{"tiers": [{"up_to": "1000", "unit_price": "0.002", "flat": "5"}, '
    '{"up_to": null, "unit_price": "0.001"}]}`, package `{"size": "100"}`; any usage model also `"allowance": "1000"`, '
    '`"minimum": "50.00"` and with it `"overage_factor": "1.5"`. Of a tier: `up_to` is its last unit (null or left out: no end, only in the last '
    "tier), `unit_price` the price of a unit in it, `flat` a fee that falls due with the first unit in it (left out: none)."
)


class PriceBookSerializer(serializers.BaseSerializer[Any]):
    """A book of a list."""

    def to_representation(self, instance: PriceBook) -> dict[str, Any]:
        return _book(instance)


class PriceBookShape(serializers.Serializer[Any]):
    """A named list of prices in one currency."""

    slug = serializers.CharField()
    name = serializers.CharField()
    currency = serializers.CharField()
    is_default = serializers.BooleanField(help_text="Pays every tenant whose tier and self have no book of their own.")


class PriceShape(serializers.Serializer[Any]):
    """One price. Numbers are decimal strings."""

    meter = serializers.CharField(
        help_text="A meter, a name of your own for a flat fee, or `*` for the whole bill's minimum."
    )
    model = serializers.ChoiceField(choices=ChargeModel.choices)
    unit_price = serializers.CharField(help_text="Of a unit, a package, or a month.")
    params = serializers.DictField(help_text=PARAMS)
    dim_key = serializers.CharField()
    dim_value = serializers.CharField()


class VersionShape(serializers.Serializer[Any]):
    """The prices of a book from `starts_at` on. Once published and started they never change."""

    number = serializers.IntegerField()
    state = serializers.ChoiceField(choices=["draft", "published", "started"])
    starts_at = serializers.DateTimeField()
    published_at = serializers.DateTimeField(allow_null=True)
    note = serializers.CharField()
    prices = PriceShape(many=True)


class VersionSerializer(serializers.BaseSerializer[Any]):
    """A version of a list."""

    def to_representation(self, instance: PriceBookVersion) -> dict[str, Any]:
        return _version(instance)


class SumShape(serializers.Serializer[Any]):
    """All bills of a month in one currency."""

    month = serializers.CharField()
    is_current = serializers.BooleanField()
    currency = serializers.CharField()
    before = serializers.CharField()
    after = serializers.CharField()
    difference = serializers.CharField()


class BillShape(SumShape):
    """A tenant's month under the old and the new prices, before tax."""

    tenant = serializers.CharField()
    held = serializers.CharField(help_text="Usage that the new prices do not cover: it would be held, not billed.")


class DryRunShape(serializers.Serializer[Any]):
    """A dry run. `results` hold the bills that change, at most 1,000, largest rise first."""

    id = serializers.IntegerField()
    state = serializers.ChoiceField(choices=["queued", "running", "done", "failed"])
    done = serializers.IntegerField(help_text="Tenants so far.")
    total = serializers.IntegerField()
    error = serializers.CharField()
    allows_publishing = serializers.BooleanField(
        help_text="It is of the prices as they are now, and not older than a day."
    )
    sums = SumShape(many=True)
    results = BillShape(many=True)


class BookBody(StrictSerializer):
    """A book to create, still without prices."""

    slug = StrictText(max_length=40, help_text="Lower-case letters, digits and hyphens.")
    name = StrictText(max_length=80)
    currency = StrictChoice(choices=choices(CURRENCIES))


class PriceBody(StrictSerializer):
    """One price of a draft."""

    meter = StrictText(max_length=40)
    model = StrictChoice(choices=choices(ChargeModel.values))
    unit_price = StrictText(max_length=21, required=False, default="0")
    params = serializers.JSONField(required=False, default=dict, help_text=PARAMS)
    dim_key = StrictText(max_length=40, required=False, allow_blank=True, default="")
    dim_value = StrictText(max_length=80, required=False, allow_blank=True, default="")


class VersionBody(StrictSerializer):
    """A draft to create; without `prices` it begins as a copy of the latest version."""

    starts_at = StrictText(max_length=40, help_text="A full hour (UTC), such as 2027-01-01T00:00:00Z.")
    prices = serializers.ListField(child=PriceBody(), required=False, max_length=MOST_PRICES)
    note = StrictText(max_length=300, required=False, allow_blank=True, default="")


class RevisionBody(StrictSerializer):
    """What to change of a draft; what is left out stays. `prices` replace all of them."""

    starts_at = StrictText(max_length=40, required=False, help_text="A full hour (UTC), such as 2027-01-01T00:00:00Z.")
    prices = serializers.ListField(child=PriceBody(), required=False, max_length=MOST_PRICES)
    note = StrictText(max_length=300, required=False, allow_blank=True)


class WithdrawBody(StrictSerializer):
    """Why it is not to come into force."""

    reason = StrictText(max_length=300)


class PublishBody(StrictSerializer):
    """Why. `force` allows a start in the past, which changes bills of open months and adjusts issued ones."""

    reason = StrictText(max_length=300)
    force = serializers.BooleanField(required=False, default=False)


_BOOK = {"slug": "default", "name": "Default prices", "currency": "USD", "is_default": True}
_PRICES = [
    {
        "meter": "gpu_hours",
        "model": "per_unit",
        "unit_price": "2.75",
        "params": {},
        "dim_key": "model",
        "dim_value": "H100",
    }
]
_VERSION = {
    "number": 4,
    "state": "draft",
    "starts_at": "2027-01-01T00:00:00Z",
    "published_at": None,
    "note": "",
    "prices": _PRICES,
}
_RUN = {
    "id": 7, "state": "done", "done": 12, "total": 12, "error": "", "allows_publishing": True,
    "sums": [{"month": "2026-10", "is_current": False, "currency": "USD", "before": "8312.40", "after": "8501.15", "difference": "188.75"}],
    "results": [{"tenant": "acme", "month": "2026-10", "is_current": False, "currency": "USD", "before": "810.16", "after": "891.18", "difference": "81.02", "held": ""}],
}  # fmt: skip


class PriceBooksView(ApiView):
    """All books."""

    needs = {"GET": OPERATOR, "POST": OPERATOR}
    queries = {"GET": PageQuery}

    @operation("price_books_list", "List price books", query=PageQuery, answer=page_of(PriceBookShape), tags=TAGS, of_tenant=False, problems=["operator_required"])  # fmt: skip
    def get(self, request: Request) -> Response:
        """For operators."""
        return self.page(PriceBook.objects.order_by("slug"), PriceBookSerializer)

    @operation("price_books_create", "Create a price book", request=BookBody, answer=PriceBookShape, status=201, tags=TAGS, of_tenant=False, problems=["operator_required"], examples=[example("A book", {"slug": "enterprise", "name": "Enterprise", "currency": "USD"}, request=True), example("Created", _BOOK, status=201)])  # fmt: skip
    def post(self, request: Request) -> HttpResponse:
        """For operators. Give it a version next; tiers and tenants are pointed to it in the admin."""
        book = price_books.create(**self.body(BookBody), actor=self.caller.actor)
        return Response(_book(book), status=201)


class VersionsView(ApiView):
    """A book's versions."""

    needs = {"GET": OPERATOR, "POST": OPERATOR}
    queries = {"GET": PageQuery}

    @operation("price_versions_list", "List versions", query=PageQuery, answer=page_of(VersionShape), tags=TAGS, of_tenant=False, problems=["operator_required", "not_found"])  # fmt: skip
    def get(self, request: Request, book: str) -> Response:
        """Newest start first, drafts included."""
        rows = _find(book).versions.select_related("book").prefetch_related("prices").order_by("-starts_at")
        return self.page(rows, VersionSerializer)

    @operation("price_versions_create", "Draft a version", request=VersionBody, answer=VersionShape, status=201, tags=TAGS, of_tenant=False, problems=["operator_required", "not_found"], examples=[example("A draft", {"starts_at": "2027-01-01T00:00:00Z", "prices": _PRICES}, request=True), example("Drafted", _VERSION, status=201)])  # fmt: skip
    def post(self, request: Request, book: str) -> HttpResponse:
        """A draft changes nothing until it is published. Prices that contradict themselves are refused as a whole."""
        found, values = _find(book), self.body(VersionBody)
        version = price_books.new_version(
            found, _start(values["starts_at"]), _rows(values), note=values["note"], actor=self.caller.actor
        )
        return Response(_version(version), status=201)


class VersionView(ApiView):
    """One version."""

    needs = {"GET": OPERATOR, "PATCH": OPERATOR, "DELETE": OPERATOR}

    @operation("price_version_retrieve", "Read a version", answer=VersionShape, tags=TAGS, of_tenant=False, problems=["operator_required", "not_found"], examples=[example("A draft", _VERSION)])  # fmt: skip
    def get(self, request: Request, book: str, number: str) -> Response:
        """The version with its prices."""
        return Response(_version(_find_version(book, number)))

    @operation("price_version_change", "Change a draft", request=RevisionBody, answer=VersionShape, tags=TAGS, of_tenant=False, problems=["operator_required", "not_found", "conflict"], examples=[example("Another start", {"starts_at": "2027-02-01T00:00:00Z"}, request=True), example("Other prices", {"prices": _PRICES}, request=True)])  # fmt: skip
    def patch(self, request: Request, book: str, number: str) -> Response:
        """Only a draft changes, and its dry run has to be run again. Prices that contradict themselves are refused as a whole."""
        version, values = _find_version(book, number), self.body(RevisionBody)
        if not values:
            raise invalid("", "Say what to change.", "required")
        price_books.revise(
            version,
            starts_at=_start(values["starts_at"]) if "starts_at" in values else None,
            prices=_rows(values),
            note=values.get("note"),
            actor=self.caller.actor,
        )
        return Response(_version(_find_version(book, number)))

    @operation("price_version_delete", "Throw a draft away", status=204, tags=TAGS, of_tenant=False, problems=["operator_required", "not_found", "conflict"])  # fmt: skip
    def delete(self, request: Request, book: str, number: str) -> HttpResponse:
        """A published version stays: withdraw it before it starts, or publish the next one."""
        price_books.discard(_find_version(book, number), actor=self.caller.actor)
        return Response(status=204)


class WithdrawView(ApiView):
    """Taking back what has not started."""

    needs = {"POST": OPERATOR}

    @operation("price_version_withdraw", "Withdraw a version", request=WithdrawBody, answer=VersionShape, tags=TAGS, of_tenant=False, problems=["operator_required", "not_found", "conflict"], examples=[example("Withdraw", {"reason": "The list is postponed"}, request=True)])  # fmt: skip
    def post(self, request: Request, book: str, number: str) -> Response:
        """A published version that has not started is a draft again; once started it never changes. The reason is audited."""
        version, values = _find_version(book, number), self.body(WithdrawBody)
        price_books.withdraw(version, timezone.now(), reason=values["reason"], actor=self.caller.actor)
        return Response(_version(_find_version(book, number)))


class DryRunView(ApiView):
    """What a draft would do to bills."""

    needs = {"GET": OPERATOR, "POST": OPERATOR}

    @operation("price_dry_run_retrieve", "Read a dry run", answer=DryRunShape, tags=TAGS, of_tenant=False, problems=["operator_required", "not_found"], examples=[example("Done", _RUN)])  # fmt: skip
    def get(self, request: Request, book: str, number: str) -> Response:
        """The version's latest dry run; 404 before the first."""
        version = _find_version(book, number)
        run = price_dry_runs.latest(version)
        if run is None:
            raise access.NotFound(book)
        return Response(_run(version, run))

    @operation("price_dry_run_create", "Start a dry run", answer=DryRunShape, status=202, tags=TAGS, of_tenant=False, problems=["operator_required", "not_found", "conflict"], examples=[example("Queued", _RUN | {"state": "queued", "done": 0, "allows_publishing": False, "sums": [], "results": []}, status=202)])  # fmt: skip
    def post(self, request: Request, book: str, number: str) -> HttpResponse:
        """Rates every tenant's last and present month under the old and the new prices, as a job: read it until it is done."""
        version = _find_version(book, number)
        run = price_dry_runs.request(version, timezone.now(), actor=self.caller.actor)
        return Response(_run(version, run), status=202)


class PublishView(ApiView):
    """Bringing a draft into force."""

    needs = {"POST": OPERATOR}

    @operation("price_version_publish", "Publish a version", request=PublishBody, answer=VersionShape, tags=TAGS, of_tenant=False, problems=["operator_required", "not_found", "conflict"], examples=[example("Publish", {"reason": "Price list of 2027"}, request=True)])  # fmt: skip
    def post(self, request: Request, book: str, number: str) -> Response:
        """Needs a finished dry run of these very prices. A start in the past is refused without `force`; the reason is audited."""
        version, values = _find_version(book, number), self.body(PublishBody)
        price_dry_runs.publish(
            version, timezone.now(), actor=self.caller.actor, reason=values["reason"], force=values["force"]
        )
        return Response(_version(_find_version(book, number)))


def _find(slug: str) -> PriceBook:
    found = PriceBook.objects.filter(slug=slug).first()
    if found is None:
        raise access.NotFound(slug)
    return found


def _find_version(slug: str, number: str) -> PriceBookVersion:
    rows = PriceBookVersion.objects.select_related("book").prefetch_related("prices")
    is_number = number.isascii() and number.isdecimal() and len(number) < 10
    found = rows.filter(book__slug=slug, number=int(number)).first() if is_number else None
    if found is None:
        raise access.NotFound(slug)
    return found


def _start(text: str) -> datetime:
    found = parse_instant(text)
    if found is None:
        raise invalid("starts_at", "Write an instant with time zone, such as 2027-01-01T00:00:00Z.", "invalid")
    try:
        return found.astimezone(UTC)
    except OverflowError:
        raise invalid("starts_at", "Name a year from 2000 to 2199.", "invalid") from None


def _rows(values: dict[str, Any]) -> list[PriceRow] | None:
    """The prices of the body; None where it has none."""
    return [_row(number, each) for number, each in enumerate(values["prices"])] if "prices" in values else None


def _row(number: int, values: dict[str, Any]) -> PriceRow:
    try:
        unit_price = parse_decimal(values["unit_price"], digits=10, decimals=10)
    except MoneyError as error:
        raise invalid(f"prices/{number}/unit_price", f"{error}.", "invalid") from None
    return PriceRow(
        values["meter"], values["model"], unit_price, values["params"], values["dim_key"], values["dim_value"]
    )


def _book(book: PriceBook) -> dict[str, Any]:
    return {"slug": book.slug, "name": book.name, "currency": book.currency, "is_default": book.is_default}


def _version(version: PriceBookVersion) -> dict[str, Any]:
    started = version.starts_at <= timezone.now()
    return {
        "number": version.number,
        "state": "draft" if version.published_at is None else "started" if started else "published",
        "starts_at": version.starts_at,
        "published_at": version.published_at,
        "note": version.note,
        "prices": [
            {
                "meter": price.meter,
                "model": price.charge_model,
                "unit_price": plain(price.unit_price, 10),
                "params": price.params,
                "dim_key": price.dim_key,
                "dim_value": price.dim_value,
            }
            for price in version.prices.all()
        ],
    }


def _run(version: PriceBookVersion, run: PriceDryRun) -> dict[str, Any]:
    standing = price_dry_runs.standing(version, timezone.now())
    sums: dict[tuple[str, bool, str], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for month, is_current, currency, before, after in run.rows.values_list(
        "month", "is_current", "currency", "before", "after"
    ):
        found = sums[month, is_current, currency]
        found[0] += before
        found[1] += after
    return {
        "id": run.pk,
        "state": run.state,
        "done": run.done,
        "total": run.total,
        "error": run.error,
        "allows_publishing": standing is not None and version.published_at is None,
        "sums": [
            _amounts(month, current, currency, *both) for (month, current, currency), both in sorted(sums.items())
        ],
        "results": [_bill(row) for row in price_dry_runs.changed_rows(run)],
    }


def _bill(row: PriceDryRunRow) -> dict[str, Any]:
    amounts = _amounts(row.month, row.is_current, row.currency, row.before, row.after)
    return {"tenant": row.tenant.slug, **amounts, "held": row.held}


def _amounts(month: str, is_current: bool, currency: str, before: Decimal, after: Decimal) -> dict[str, Any]:
    return {
        "month": month,
        "is_current": is_current,
        "currency": currency,
        "before": Money(before, currency).decimal_string(),
        "after": Money(after, currency).decimal_string(),
        "difference": Money(after - before, currency).decimal_string(),
    }
