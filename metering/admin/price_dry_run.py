"""The dry run of a draft of prices: what it would do to every tenant's last and present month. Publishing starts from here."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import F, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin

from metering import memo
from metering.costing import price_dry_runs
from metering.models import DryRunState, PriceBookVersion, PriceDryRun, PriceDryRunRow
from metering.money import Money
from metering.prices.in_words import price_in_words
from tenants import audit
from tenants.admin.base import require
from tenants.models import Tenant
from tenants.problems import ProblemError

PER_PAGE = 50
SHOW = {
    "changed": lambda rows: rows.exclude(before=F("after")),
    "dearer": lambda rows: rows.filter(after__gt=F("before")),
    "cheaper": lambda rows: rows.filter(after__lt=F("before")),
    "held": lambda rows: rows.exclude(held=""),
    "all": lambda rows: rows,
}


@dataclass(frozen=True)
class Sum:
    """All bills of last or the present month in one currency."""

    is_current: bool
    before: Money
    after: Money
    tenants: int
    changed: int

    @property
    def change(self) -> Money:
        return self.after - self.before

    @property
    def percent(self) -> Decimal | None:
        """The change in percent of what it was; None of nothing."""
        return self.change.amount / self.before.amount * 100 if self.before.amount else None


@dataclass(frozen=True)
class Row:
    """A tenant's month as the table shows it."""

    row: PriceDryRunRow
    before: Money
    after: Money

    @property
    def change(self) -> Money:
        return self.after - self.before


def dry_run_page(request: HttpRequest, page: ModelAdmin, object_id: int) -> HttpResponse:
    """…/pricebookversion/<id>/dry_run/: POST runs it, GET shows the latest one."""
    version = PriceBookVersion.objects.select_related("book").filter(pk=object_id).first()
    if version is None:
        raise Http404
    require(page.has_view_permission(request))
    here = reverse("admin:metering_pricebookversion_dry_run", args=[version.pk])
    if request.method == "POST":
        require(page.has_change_permission(request))
        _run(request, version)
        return HttpResponseRedirect(here)
    now = timezone.now()
    run = price_dry_runs.latest(version)
    request.current_app = page.admin_site.name
    return TemplateResponse(
        request,
        "admin/portal/price_dry_run.html",
        {
            **page.admin_site.each_context(request),
            "opts": page.model._meta,
            "original": version,
            "title": _("Dry run of %(version)s") % {"version": version},
            "version": version,
            "run": run,
            "going": run is not None and run.state in (DryRunState.QUEUED, DryRunState.RUNNING),
            "percent_done": run.done / run.total * 100 if run and run.total else 0,
            "prices": _said(version),
            "stale": run is not None and run.fingerprint != price_dry_runs.fingerprint(version),
            "may_publish": version.published_at is None and price_dry_runs.standing(version, now) is not None,
            "back_dated": version.starts_at <= now,
            "here": here,
            "back": reverse("admin:metering_pricebookversion_change", args=[version.pk]),
            "publish": reverse("admin:metering_pricebookversion_publish", args=[version.pk]),
            **(_shown(request, run) if run and run.state == DryRunState.DONE else {}),
        },
    )


def _run(request: HttpRequest, version: PriceBookVersion) -> None:
    now = timezone.now()
    try:
        run = price_dry_runs.request(version, now, actor=audit.user_actor(request.user))
        if Tenant.objects.count() <= price_dry_runs.INLINE:
            price_dry_runs.work(run, now)
        else:
            messages.info(request, _("It runs now; this page shows how far it is."))
    except ProblemError as problem:
        messages.error(request, str(problem))


def _shown(request: HttpRequest, run: PriceDryRun) -> dict[str, Any]:
    show = request.GET.get("show", "changed")
    show = show if show in SHOW else "changed"
    search = request.GET.get("q", "")[:80].strip()
    rows: QuerySet[PriceDryRunRow] = SHOW[show](run.rows.all())
    if search:
        rows = rows.filter(tenant__slug__icontains=search) | rows.filter(tenant__name__icontains=search)
    rows = rows.select_related("tenant").annotate(difference=F("after") - F("before"))
    on_page = Paginator(rows.order_by("-is_current", "-difference", "pk"), PER_PAGE).get_page(request.GET.get("page"))
    return {
        "sums": _sums(run),
        "page_obj": on_page,
        "rows": [Row(row, Money(row.before, row.currency), Money(row.after, row.currency)) for row in on_page],
        "show": show,
        "search": search,
        "choices": [
            ("changed", _("Changed")), ("dearer", _("Dearer")), ("cheaper", _("Cheaper")), ("held", _("Without a price")), ("all", _("All")),
        ],
    }  # fmt: skip


def _sums(run: PriceDryRun) -> list[Sum]:
    found: dict[tuple[bool, str], list[tuple[Decimal, Decimal]]] = defaultdict(list)
    for is_current, currency, before, after in run.rows.values_list("is_current", "currency", "before", "after"):
        found[is_current, currency].append((before, after))
    return [
        Sum(
            is_current,
            Money(sum((before for before, _after in pairs), Decimal(0)), currency),
            Money(sum((after for _before, after in pairs), Decimal(0)), currency),
            len(pairs),
            sum(before != after for before, after in pairs),
        )
        for (is_current, currency), pairs in sorted(found.items(), key=lambda item: (item[0][1], item[0][0]))
    ]


def _said(version: PriceBookVersion) -> list[str]:
    """The prices that are tried, one sentence each."""
    meters = memo.meters()
    return [price_in_words(price, version.book.currency, meters) for price in version.prices.all()]
