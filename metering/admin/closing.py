"""The month close screen: where every tenant's month stands, what holds it up, and the buttons that move it on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin

from metering.billing import closing, payments
from metering.billing.drafting import PeriodOpenError
from metering.billing.issuing import InvoiceStateError
from metering.billing.parties import NoEntityError
from metering.costing import costs
from metering.ledger import quarantine
from metering.models import (
    EmptyMonth,
    GapPolicy,
    GapShare,
    Invoice,
    InvoiceState,
    JobRun,
    JobState,
    UnknownKind,
    UnknownUsage,
)
from metering.money import Money
from tenants import audit, calendar
from tenants.admin.base import require
from tenants.admin.confirm import Confirmation, ReasonOnly
from tenants.models import BillingPeriod, Tenant
from tenants.problems import Conflict

PER_PAGE = 100
CHUNK = 200
A_DAY = timedelta(days=1)
"""Months of tenants begin up to 14 hours before and end up to 12 hours after those of UTC."""
STATES = ("running", "open", "draft", "grace", "issued", "paid", "void", "nothing")


@dataclass(frozen=True)
class MonthState:
    """A tenant's month. `state` is one of STATES: not ended, ended without an invoice, a draft whose grace is over, one within it, …

    "void": its only invoice was voided; nothing happens until somebody issues it again. "nothing": there is nothing to invoice, because the
    tenant was not there yet, or used nothing that any late usage could still change.
    """

    tenant: Tenant
    state: str
    invoice: Invoice | None
    total: Money | None
    outstanding: Money | None
    gaps: int
    quarantined: int
    elsewhere: int
    """Events in quarantine that happened in other months: they hold up nothing here."""
    unpriced: int

    @property
    def can_issue(self) -> bool:
        """Its month has ended, and no invoice of it is out."""
        return self.state in ("open", "draft", "grace", "void")

    @property
    def is_held(self) -> bool:
        """Something waits for an operator."""
        return bool(self.gaps or self.quarantined or self.unpriced or self.state == "void")


def month_states(month: str, now: datetime) -> list[MonthState]:
    """Every tenant's month 'YYYY-MM', by slug, in a handful of queries."""
    invoices = {
        invoice.tenant_id: invoice
        for invoice in Invoice.objects.filter(period__key=month)
        .exclude(state=InvoiceState.VOID)
        .defer("snapshot")
        .select_related("period")
        .prefetch_related("credit_notes", "payments")
    }
    voided = set(Invoice.objects.filter(period__key=month, state=InvoiceState.VOID).values_list("tenant", flat=True))
    voided -= set(invoices)
    periods = {period.tenant_id: period for period in BillingPeriod.objects.filter(key=month)}
    gaps = _gaps(periods)
    empty = set(EmptyMonth.objects.filter(period__key=month).values_list("tenant", flat=True))
    quarantined = quarantine.counts_waiting(month)
    tenants = list(Tenant.objects.select_related("tier").order_by("slug"))
    unpriced = _unpriced(tenants, month, now)
    return [
        _state(
            tenant,
            month,
            invoices.get(tenant.pk),
            periods.get(tenant.pk),
            now,
            without="void" if tenant.pk in voided else "nothing" if tenant.pk in empty else "open",
        )(gaps[tenant.pk], *quarantined.get(tenant.pk, (0, 0)), unpriced[tenant.pk])
        for tenant in tenants
    ]


def _gaps(periods: dict[int, BillingPeriod]) -> Counter[int]:
    """Undecided gaps by tenant, each in the tenant's own month."""
    found: Counter[int] = Counter()
    rows = GapShare.objects.filter(policy=GapPolicy.ASK, decision="").values_list("tenant", "starts_at", "ends_at")
    for tenant_id, starts_at, ends_at in rows:
        period = periods.get(tenant_id)
        found[tenant_id] += bool(period and starts_at < period.ends_at and ends_at > period.starts_at)
    return found


def _unpriced(tenants: Sequence[Tenant], month: str, now: datetime) -> Counter[int]:
    """How many things each tenant used in that month that no price covers today. Only who may have any is rated.

    The list of unknown usage knows the present month's alone; when it has seen a value says in which months it can be.
    """
    start, end = calendar.month_bounds("UTC", month)
    rows = UnknownUsage.objects.filter(
        kind=UnknownKind.NO_PRICE, first_seen_at__lt=end + A_DAY, last_seen_at__gte=start - A_DAY
    )
    chosen = set(rows.values_list("tenant", flat=True))
    some = [tenant for tenant in tenants if tenant.pk in chosen]
    found: Counter[int] = Counter()
    for first in range(0, len(some), CHUNK):
        for statement in costs.statements(some[first : first + CHUNK], now, month):
            held = {(each.meter, each.dim_value) for each in statement.quarantined if each.reason != "negative_total"}
            found[statement.tenant.pk] = len(held)
    return found


def _state(
    tenant: Tenant, month: str, invoice: Invoice | None, period: BillingPeriod | None, now: datetime, *, without: str
) -> Any:
    """`without` is the state of an ended month that has no invoice."""
    ends_at = period.ends_at if period else calendar.month_bounds(tenant.time_zone, month)[1]
    if invoice is None:
        was_there = period is not None or month >= calendar.month_key(tenant.time_zone, tenant.created_at)
        state = without if without == "void" else "running" if now < ends_at else without if was_there else "nothing"
    elif invoice.state == InvoiceState.DRAFT:
        state = "grace" if now < invoice.issue_after else "draft"
    else:
        state = invoice.state
    total = Money(invoice.total, invoice.currency) if invoice else None
    outstanding = payments.outstanding(invoice) if invoice and invoice.state == InvoiceState.ISSUED else None
    return lambda *waits: MonthState(tenant, state, invoice, total, outstanding, *waits)


# ------------------------------------------------------------------------------------------------------------------ page


def closing_page(request: HttpRequest, model_admin: ModelAdmin) -> HttpResponse:
    """/admin/metering/invoice/close/?month=YYYY-MM&state=…: POST starts or goes on with the closing, or issues one tenant's now."""
    require(model_admin.has_view_permission(request))
    now = timezone.now()
    month = _month(request, now)
    here = f"{reverse('admin:metering_invoice_close')}?month={month}"
    may_act = request.user.has_perm("metering.change_invoice")
    if request.method == "POST":
        require(may_act)
        if "tenant" in request.POST:
            return _issue(request, model_admin, month, here, now)
        return _start(request, month, here, now)
    states = month_states(month, now)
    counts = Counter(each.state for each in states)
    chosen, search = request.GET.get("state", ""), request.GET.get("q", "")[:80].strip().lower()
    shown = [
        each
        for each in states
        if (not chosen or each.state == chosen or (chosen == "held" and each.is_held))
        and (not search or search in each.tenant.slug or search in each.tenant.name.lower())
    ]
    run = closing.last_asked(month)
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(
        request,
        "admin/portal/month_close.html",
        {
            **model_admin.admin_site.each_context(request),
            "title": _("Close a month"),
            "month": month,
            "previous": calendar.previous_month(month),
            "next": calendar.next_month(month) if calendar.next_month(month) <= calendar.month_key("UTC", now) else "",
            "tiles": [(state, _WORDS[state], counts[state]) for state in STATES],
            "held": sum(each.is_held for each in states),
            "words": _WORDS,
            "state": chosen,
            "search": search,
            "page_obj": Paginator(shown, PER_PAGE).get_page(request.GET.get("page")),
            "run": run,
            "going": run is not None and run.state == JobState.RUNNING,
            "percent_done": _percent(run),
            "here": here,
            "may_act": may_act,
            "may_close": may_act and month < calendar.month_key("Pacific/Kiritimati", now),
        },
    )


def _month(request: HttpRequest, now: datetime) -> str:
    month = request.GET.get("month") or calendar.previous_month(calendar.month_key("UTC", now))
    try:
        calendar.parse_month(month)
    except ValueError as error:
        raise Http404 from error
    return month


def _percent(run: JobRun | None) -> float:
    total = run.detail.get("total", 0) if run else 0
    return run.detail.get("done", 0) / total * 100 if run and total else 0.0


def _start(request: HttpRequest, month: str, here: str, now: datetime) -> HttpResponse:
    try:
        with audit.acting(audit.user_actor(request.user), f"closing {month}"):
            closing.ask_to_close(month, now)
        messages.success(request, _("The closing is on its way; this page shows how far it is."))
    except InvoiceStateError as error:
        messages.error(request, str(error))
    return HttpResponseRedirect(here)


def _issue(request: HttpRequest, page: ModelAdmin, month: str, here: str, now: datetime) -> HttpResponse:
    """Asks why, then issues one tenant's month whatever is left of its grace time, and again after a voiding."""
    slug = request.POST["tenant"]
    tenant = Tenant.objects.select_related("tier").filter(slug=slug).first()
    if tenant is None:
        raise Http404

    def run(form: forms.Form) -> str:
        try:
            invoice = closing.issue_now(
                tenant, month, now, actor=audit.user_actor(request.user), reason=form.cleaned_data["reason"]
            )
        except (InvoiceStateError, PeriodOpenError, NoEntityError) as error:
            raise Conflict(str(error)) from None
        return _("%(number)s is issued.") % {"number": invoice.number}

    waiting = GapShare.objects.filter(Q(tenant=tenant, policy=GapPolicy.ASK, decision="")).count()
    return Confirmation(
        page=page,
        title=_("Issue %(month)s of %(tenant)s now") % {"month": month, "tenant": tenant},
        text=_("What arrives or is decided later becomes an adjustment on the next invoice."),
        rows=[(_("Undecided gaps"), str(waiting))],
        form=ReasonOnly,
        run=run,
        button=_("Issue"),
        danger=True,
        back=here,
        carry=[("tenant", slug)],
    ).respond(request)


_WORDS = {
    "running": gettext_lazy("Not ended"),
    "open": gettext_lazy("Ended, no invoice"),
    "draft": gettext_lazy("Draft, grace is over"),
    "grace": gettext_lazy("Draft, within grace"),
    "issued": gettext_lazy("Issued"),
    "paid": gettext_lazy("Paid"),
    "void": gettext_lazy("Void, waits for you"),
    "nothing": gettext_lazy("Nothing to invoice"),
}
