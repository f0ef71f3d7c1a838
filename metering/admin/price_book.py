"""Price books: versions with a start. A started version never changes; the next one is a copy that is edited and published."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSplitDateTimeWidget, UnfoldAdminTextInputWidget

from metering import price_books
from metering.models import Price, PriceBook, PriceBookVersion, TenantPriceBook, TierPriceBook
from tenants import audit
from tenants.admin.base import AuditedAdmin, Inline, LookOnly, NeverDeleted
from tenants.admin.confirm import Confirmation, ReasonOnly
from tenants.admin.wording import badge, meter_name


def price_in_words(price: Price) -> str:
    """'GPU hours (model H100): 3.10, graduated'."""
    value = number_format(price.unit_price.normalize(), use_l10n=True)
    where = f" ({price.dim_key} {price.dim_value})" if price.dim_value else ""
    how = "" if price.charge_model == "per_unit" else f", {price.get_charge_model_display().lower()}"
    return f"{meter_name(price.meter)}{where}: {value}{how}"


def version_badge(version: PriceBookVersion) -> str:
    now = timezone.now()
    if version.published_at is None:
        return badge(_("Draft"), "warn")
    return badge(_("Started"), "good") if version.starts_at <= now else badge(_("Published, starts later"), "info")


def is_frozen(version: PriceBookVersion | None) -> bool:
    """Published and started: the database refuses every change."""
    return version is not None and version.published_at is not None and version.starts_at <= timezone.now()


class VersionInline(LookOnly, Inline):
    model = PriceBookVersion
    fields = ("number", "starts_at", "state_mark", "prices_in_words", "note")
    readonly_fields = fields
    show_change_link = True
    tab = False
    hide_title = True
    ordering = ("-starts_at",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[PriceBookVersion]:
        return super().get_queryset(request).prefetch_related("prices").select_related("book")

    @display(description=_("State"))
    def state_mark(self, version: PriceBookVersion) -> str:
        return version_badge(version)

    @display(description=_("Prices"))
    def prices_in_words(self, version: PriceBookVersion) -> str:
        return " · ".join(price_in_words(price) for price in version.prices.all()) or "–"


class TierBookInline(TabularInline):
    model = TierPriceBook
    fields = ("tier",)
    extra = 0
    verbose_name_plural = _("Tiers that pay by this book")


class TenantBookInline(TabularInline):
    model = TenantPriceBook
    fields = ("tenant", "starts_at", "ends_at", "reason")
    autocomplete_fields = ("tenant",)
    extra = 0
    verbose_name_plural = _("Tenants that pay by this book")


class PriceBookAdmin(AuditedAdmin):
    list_display = ("name", "slug", "currency", "version_in_force", "default_mark")
    search_fields = ("slug", "name")
    inlines = (VersionInline, TierBookInline, TenantBookInline)
    fieldsets = ((None, {"fields": (("name", "slug"), ("currency", "is_default"))}),)
    actions_detail = ("new_version",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[PriceBook]:
        return super().get_queryset(request).prefetch_related("versions")

    def get_readonly_fields(self, request: HttpRequest, obj: PriceBook | None = None) -> tuple[str, ...]:
        return ("slug", "currency") if obj else ()

    def get_inlines(self, request: HttpRequest, obj: PriceBook | None) -> Any:
        return super().get_inlines(request, obj) if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: PriceBook | None = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or not obj.versions.exists())

    @action(description=_("New version"), icon="add", permissions=["change"])
    def new_version(self, request: HttpRequest, object_id: int) -> HttpResponse:
        book = PriceBook.objects.get(pk=object_id)
        return copy_page(self, request, book, price_books.latest(book))

    @display(description=_("In force"))
    def version_in_force(self, book: PriceBook) -> str:
        now = timezone.now()
        started = [each for each in book.versions.all() if each.published_at and each.starts_at <= now]
        return f"v{max(started, key=lambda each: each.starts_at).number}" if started else "–"

    @display(description=_("Default"))
    def default_mark(self, book: PriceBook) -> str:
        return badge(_("Default"), "good") if book.is_default else "–"
