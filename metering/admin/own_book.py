"""A tenant pays by a book of its own for a while: given, ended, or taken back, always after a look at what that does to its bills."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django import forms
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminSplitDateTimeWidget, UnfoldBooleanWidget

from metering.costing import price_dry_runs
from metering.models import PriceBook, TenantPriceBook
from metering.prices import price_books
from tenants import audit
from tenants.admin.confirm import Confirmation, ReasonOnly
from tenants.models import Tenant

from .tier_book import SEEN, changes_in_words

Books = Sequence[tuple[int, datetime, datetime | None]]
"""A tenant's own books: id, start, end."""


def _when(label: Any, help_text: Any, *, required: bool = True) -> forms.SplitDateTimeField:
    return forms.SplitDateTimeField(
        label=label, required=required, widget=UnfoldAdminSplitDateTimeWidget, help_text=help_text
    )


def _force(label: Any) -> forms.BooleanField:
    return forms.BooleanField(label=label, required=False, widget=UnfoldBooleanWidget)


class GiveBook(ReasonOnly):
    """Whom, which book, from when until when, and why."""

    tenant = forms.ModelChoiceField(
        Tenant.objects.order_by("name"), label=gettext_lazy("Tenant"), widget=UnfoldAdminSelectWidget
    )
    book = forms.ModelChoiceField(
        PriceBook.objects.order_by("name"), label=gettext_lazy("Book"), widget=UnfoldAdminSelectWidget
    )
    starts_at = _when(
        gettext_lazy("Starts"), gettext_lazy("UTC, on a full hour. What was used before keeps its price.")
    )
    ends_at = _when(gettext_lazy("Ends"), gettext_lazy("Empty: until somebody ends it."), required=False)
    force = _force(gettext_lazy("Start in the past: bills of open periods change, and invoiced ones are adjusted"))
    field_order = ("tenant", "book", "starts_at", "ends_at", "force", "reason")


class EndBook(ReasonOnly):
    """When, and why."""

    ends_at = _when(gettext_lazy("Ends"), gettext_lazy("UTC, on a full hour. From then on its tier's prices hold."))
    force = _force(gettext_lazy("End in the past: bills of open periods change, and invoiced ones are adjusted"))
    field_order = ("ends_at", "force", "reason")


def give_page(request: HttpRequest, page: ModelAdmin) -> HttpResponse:
    """…/tenantpricebook/add/: asks, shows the dry run of what was asked for, and assigns once that has been looked at."""
    now = timezone.now()

    def change(values: dict[str, Any]) -> str:
        given = price_books.assign(
            values["tenant"], values["book"], values["starts_at"], values["ends_at"], now,
            reason=values["reason"], actor=audit.user_actor(request.user), force=values["force"],
        )  # fmt: skip
        return _("%(tenant)s pays by %(book)s from %(start)s on.") % {
            "tenant": given.tenant,
            "book": given.book,
            "start": f"{given.starts_at:%Y-%m-%d %H:%M} UTC",
        }

    def tried(values: dict[str, Any]) -> tuple[Tenant, Books]:
        tenant, book, start, end = (values[name] for name in ("tenant", "book", "starts_at", "ends_at"))
        if start > now:
            return tenant, [(book.pk, price_books.ALWAYS, None)]
        return tenant, sorted([*_books(tenant), (book.pk, start, end)], key=lambda each: each[1])

    return _looked_at_first(
        request,
        page,
        GiveBook,
        change,
        tried,
        _("Give a tenant a book of its own"),
        _("Assign it"),
        reverse("admin:metering_tenantpricebook_changelist"),
    )


def end_page(request: HttpRequest, page: ModelAdmin, own: TenantPriceBook) -> HttpResponse:
    """…/tenantpricebook/<id>/end/: the same for the end of an assignment."""
    now = timezone.now()

    def change(values: dict[str, Any]) -> str:
        price_books.end_own(
            own, values["ends_at"], now,
            reason=values["reason"], actor=audit.user_actor(request.user), force=values["force"],
        )  # fmt: skip
        return _("%(tenant)s pays by its tier's prices from %(end)s on.") % {
            "tenant": own.tenant,
            "end": f"{values['ends_at']:%Y-%m-%d %H:%M} UTC",
        }

    def tried(values: dict[str, Any]) -> tuple[Tenant, Books]:
        others = [each for each in _books(own.tenant) if each[1] != own.starts_at]
        if values["ends_at"] > now:
            return own.tenant, []
        return own.tenant, sorted([*others, (own.book_id, own.starts_at, values["ends_at"])], key=lambda each: each[1])

    return _looked_at_first(
        request,
        page,
        EndBook,
        change,
        tried,
        _("End %(own)s") % {"own": own},
        _("End it"),
        reverse("admin:metering_tenantpricebook_change", args=[own.pk]),
    )


def take_back_page(request: HttpRequest, page: ModelAdmin, own: TenantPriceBook) -> HttpResponse:
    """…/tenantpricebook/<id>/take_back/: for what has not started."""

    def run(form: forms.Form) -> str:
        price_books.take_back(
            own, timezone.now(), reason=form.cleaned_data["reason"], actor=audit.user_actor(request.user)
        )
        return _("Taken back: it does not come into force.")

    return Confirmation(
        page=page,
        title=_("Take back %(own)s") % {"own": own},
        text=_("It was to start on %(start)s. Nobody has paid by it.")
        % {"start": f"{own.starts_at:%Y-%m-%d %H:%M} UTC"},
        form=ReasonOnly,
        run=run,
        button=_("Take it back"),
        back=reverse("admin:metering_tenantpricebook_changelist"),
    ).respond(request)


def _looked_at_first(
    request: HttpRequest,
    page: ModelAdmin,
    form: type[forms.Form],
    change: Callable[[dict[str, Any]], str],
    tried: Callable[[dict[str, Any]], tuple[Tenant, Books]],
    title: str,
    button: str,
    back: str,
) -> HttpResponse:
    """Asks, shows both months under what was asked for, and changes once these very values have been looked at."""

    def run(filled: forms.Form) -> str | HttpResponse:
        with transaction.atomic():
            said = change(filled.cleaned_data)
            if request.POST.get(SEEN) == _mark(filled):
                return said
            transaction.set_rollback(True)  # it could be done; first its effect is looked at
        kept = {
            name: str(request.POST[name])
            for name in request.POST
            if name.removesuffix("_0").removesuffix("_1") in form.base_fields
        }
        return HttpResponseRedirect(f"{request.path}?{urlencode(kept)}")

    asked = form(request.GET)
    looked = request.method == "GET" and asked.is_valid()
    rows = []
    if looked:
        tenant, books = tried(asked.cleaned_data)
        rows = changes_in_words(price_dry_runs.compare_own(tenant, books, timezone.now()))
    return Confirmation(
        page=page,
        title=title,
        text=_("What it would do to the bills of last month and this month. Nothing has changed yet.")
        if looked
        else _("Next you see what it does to bills; nothing changes before that."),
        rows=rows,
        form=form,
        initial=asked.cleaned_data if looked else dict(request.GET.items()),
        run=run,
        button=button if looked else _("Look at what it does"),
        back=back,
        carry=[(SEEN, _mark(asked))] if looked else [],
    ).respond(request)


def _mark(form: forms.Form) -> str:
    """Names what was looked at: another tenant, book, start or end has to be looked at again."""
    values = (form.cleaned_data.get(name) for name in ("tenant", "book", "starts_at", "ends_at"))
    return " ".join(
        "-" if value is None else value.isoformat() if isinstance(value, datetime) else str(value.pk)
        for value in values
    )


def _books(tenant: Tenant) -> list[tuple[int, datetime, datetime | None]]:
    return list(
        TenantPriceBook.objects.filter(tenant=tenant).order_by("starts_at").values_list("book", "starts_at", "ends_at")
    )
