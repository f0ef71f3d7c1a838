"""Price books: versions with a start. A started version never changes; the next one is a copy that is edited and published."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import AutocompleteSelectFilter, RelatedDropdownFilter
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminSplitDateTimeWidget,
    UnfoldBooleanWidget,
)

from metering import memo
from metering.costing import price_dry_runs
from metering.models import Meter, Price, PriceBook, PriceBookVersion, TenantPriceBook, TierPriceBook
from metering.prices import price_books
from metering.prices.in_words import price_in_words, terms_in_words
from metering.pricing import EVERYTHING
from tenants import audit
from tenants.admin.base import AuditedAdmin, Inline, LookOnly, require
from tenants.admin.confirm import Confirmation, ReasonOnly
from tenants.admin.wording import badge, trimmed_limit

from .own_book import end_page, give_page, take_back_page
from .price_dry_run import dry_run_page
from .price_form import PriceForm
from .tier_book import assign_tier_page


def version_badge(version: PriceBookVersion) -> str:
    now = timezone.now()
    if version.published_at is None:
        return badge(_("Draft"), "warn")
    return badge(_("Started"), "good") if version.starts_at <= now else badge(_("Published, starts later"), "info")


def is_frozen(version: PriceBookVersion | None) -> bool:
    """Published: what was looked at in the dry run is what comes into force. Once it has started the database refuses every change."""
    return version is not None and version.published_at is not None


class NewVersion(ReasonOnly):
    starts_at = forms.SplitDateTimeField(
        label=_("Starts"),
        widget=UnfoldAdminSplitDateTimeWidget,
        help_text=_("UTC. Usage from then on is billed by these prices."),
    )
    field_order = ("starts_at", "reason")


class Publish(ReasonOnly):
    force = forms.BooleanField(
        label=_("Start in the past: bills of open periods change"),
        required=False,
        widget=UnfoldBooleanWidget,
        help_text=_("Only needed when the start has passed."),
    )
    field_order = ("force", "reason")


class PriceInline(Inline):
    """Prices of a draft; a started version only shows its own."""

    model = Price
    form = PriceForm
    tab = False
    fields = (
        "meter", "charge_model", "unit_price", "dim_key", "dim_value", "steps", "size", "allowance", "minimum", "overage_factor",
    )  # fmt: skip
    readonly_preprocess_fields: Any = {"unit_price": trimmed_limit}
    verbose_name_plural = _("prices")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """A started version says in words what a draft has fields for."""
        if self.has_change_permission(request, obj):
            return self.fields
        return ("meter", "dim_key", "dim_value", "terms")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if self.has_change_permission(request, obj) else ("terms",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Price]:
        return super().get_queryset(request).select_related("version__book")

    @cached_property
    def meters(self) -> dict[str, Meter]:
        """Read once: an inline lives as long as its page."""
        return memo.meters()

    @display(description=_("Price"))
    def terms(self, price: Price) -> str:
        return terms_in_words(price, price.version.book.currency, self.meters)

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        """Offers the meters that exist, and the whole bill; asked once for all rows."""
        formset: Any = super().get_formset(request, obj, **kwargs)
        choices = [
            ("", _("Select value")),
            *Meter.objects.values_list("key", "name"),
            (EVERYTHING, _("the whole bill")),
        ]
        formset.form.base_fields["meter"] = forms.ChoiceField(
            label=_("Meter"), choices=choices, widget=UnfoldAdminSelectWidget
        )
        return formset

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not is_frozen(obj) and super().has_add_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not is_frozen(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not is_frozen(obj) and super().has_delete_permission(request, obj)


class VersionInline(LookOnly, Inline):
    model = PriceBookVersion
    fields = ("page", "starts_at", "state_mark", "prices_in_words", "note")
    readonly_fields = fields
    tab = False
    ordering = ("-starts_at",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[PriceBookVersion]:
        return super().get_queryset(request).prefetch_related("prices").select_related("book")

    @cached_property
    def meters(self) -> dict[str, Meter]:
        """Read once: an inline lives as long as its page."""
        return memo.meters()

    @display(description=_("Version"))
    def page(self, version: PriceBookVersion) -> str:
        url = reverse("admin:metering_pricebookversion_change", args=[version.pk])
        return format_html('<a class="pa-link" href="{}">v{}</a>', url, version.number)

    @display(description=_("State"))
    def state_mark(self, version: PriceBookVersion) -> str:
        return version_badge(version)

    @display(description=_("Prices"))
    def prices_in_words(self, version: PriceBookVersion) -> str:
        said = [price_in_words(price, version.book.currency, self.meters) for price in version.prices.all()]
        return format_html_join(SafeString("<br>"), "{}", ((each,) for each in said)) or "–"


class TierBookInline(LookOnly, TabularInline):
    model = TierPriceBook
    hide_title = True
    fields = ("tier", "starts_at", "reason")
    extra = 0
    verbose_name_plural = _("Tiers that pay by this book")

    def get_queryset(self, request: HttpRequest) -> QuerySet[TierPriceBook]:
        return super().get_queryset(request).select_related("tier")


class TenantBookInline(LookOnly, TabularInline):
    model = TenantPriceBook
    fields = ("tenant", "starts_at", "ends_at", "reason")
    extra = 0
    hide_title = True
    verbose_name_plural = _("Tenants that pay by this book")

    def get_queryset(self, request: HttpRequest) -> QuerySet[TenantPriceBook]:
        return super().get_queryset(request).select_related("tenant")


class PriceBookAdmin(AuditedAdmin):
    list_display = ("name", "slug", "currency", "version_in_force", "default_mark")
    search_fields = ("slug", "name")
    inlines = (VersionInline, TierBookInline, TenantBookInline)
    fieldsets = ((None, {"fields": (("name", "slug"), ("currency", "is_default"))}),)
    actions_detail = ("new_version", "assign_tier")

    def get_queryset(self, request: HttpRequest) -> QuerySet[PriceBook]:
        return super().get_queryset(request).prefetch_related("versions")

    def get_readonly_fields(self, request: HttpRequest, obj: PriceBook | None = None) -> tuple[str, ...]:
        """Which book is the default one has no history: another default would price again what was billed. Tiers are given books instead."""
        fixed = ("slug", "currency") if obj else ()
        return (*fixed, "is_default") if PriceBook.objects.filter(is_default=True).exists() else fixed

    def get_inlines(self, request: HttpRequest, obj: PriceBook | None) -> Any:
        return super().get_inlines(request, obj) if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: PriceBook | None = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or not obj.versions.exists())

    @action(description=_("New version"), icon="add", permissions=["change"])
    def new_version(self, request: HttpRequest, object_id: int) -> HttpResponse:
        book = PriceBook.objects.get(pk=object_id)
        latest = price_books.latest(book)

        def run(form: forms.Form) -> HttpResponse:
            version = price_books.new_version(
                book,
                form.cleaned_data["starts_at"],
                note=form.cleaned_data["reason"],
                actor=audit.user_actor(request.user),
            )
            self.message_user(request, _("A draft. Change its prices, then publish it."))
            return HttpResponseRedirect(reverse("admin:metering_pricebookversion_change", args=[version.pk]))

        return Confirmation(
            page=self,
            title=_("New version of %(book)s") % {"book": book},
            text=_("Begins as a copy of version %(number)s.") % {"number": latest.number}
            if latest
            else _("Begins empty."),
            form=NewVersion,
            run=run,
            button=_("Make the draft"),
            back=reverse("admin:metering_pricebook_change", args=[object_id]),
        ).respond(request)

    @action(description=_("Have a tier pay by it"), icon="sell", permissions=["change"])
    def assign_tier(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return assign_tier_page(request, self, PriceBook.objects.get(pk=object_id))

    @display(description=_("In force"))
    def version_in_force(self, book: PriceBook) -> str:
        now = timezone.now()
        started = [each for each in book.versions.all() if each.published_at and each.starts_at <= now]
        return f"v{max(started, key=lambda each: each.starts_at).number}" if started else "–"

    @display(description=_("Default"))
    def default_mark(self, book: PriceBook) -> str:
        return badge(_("Default"), "good") if book.is_default else "–"


class PriceBookVersionAdmin(AuditedAdmin):
    list_display = ("__str__", "book", "starts_at", "state_mark", "note")
    list_filter = (("book", RelatedDropdownFilter),)
    list_select_related = ("book",)
    inlines = (PriceInline,)
    fieldsets = ((None, {"fields": (("book", "number"), ("starts_at", "state_mark"), "note")}),)
    actions_detail = ("dry_run", "publish", "withdraw", "copy")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Versions begin on their book's page, as a copy."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        frozen = isinstance(obj, PriceBookVersion) and is_frozen(obj)
        return not frozen and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A draft can be thrown away on its page."""
        is_draft = isinstance(obj, PriceBookVersion) and obj.published_at is None
        return is_draft and super().has_delete_permission(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        fixed = ("book", "number", "state_mark")
        return fixed if obj is None or obj.published_at is None else (*fixed, "starts_at")

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """A version that could not be priced is refused as a whole."""
        super().save_related(request, form, formsets, change)
        price_books.check(PriceBookVersion.objects.select_related("book").get(pk=form.instance.pk))

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """No button to publish what is published, nor to withdraw a draft or what has started."""
        version = kwargs.get("obj")
        if version is not None:
            over = ["/publish/", "/dry_run/"] if version.published_at else ["/withdraw/"]
            over += ["/withdraw/"] if version.starts_at <= timezone.now() else []
            context["actions_detail"] = [
                each for each in context["actions_detail"] if not any(part in each["path"] for part in over)
            ]
        return super().render_change_form(request, context, *args, **kwargs)

    @action(description=_("Dry run"), icon="science", permissions=["change"])
    def dry_run(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return dry_run_page(request, self, object_id)

    @action(description=_("Publish"), icon="publish", permissions=["change"])
    def publish(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Only on the strength of a dry run; without one, that page comes first."""
        version = PriceBookVersion.objects.select_related("book").prefetch_related("prices").get(pk=object_id)
        now = timezone.now()
        if version.published_at is None and price_dry_runs.standing(version, now) is None:
            self.message_user(request, _("Look at what it does to bills first. It is published from there."), "warning")
            return HttpResponseRedirect(reverse("admin:metering_pricebookversion_dry_run", args=[object_id]))

        def run(form: forms.Form) -> str:
            values = form.cleaned_data
            price_dry_runs.publish(
                version,
                timezone.now(),
                actor=audit.user_actor(request.user),
                reason=values["reason"],
                force=values["force"],
            )
            return str(_("Published. It never changes once it has started."))

        return Confirmation(
            page=self,
            title=_("Publish %(version)s") % {"version": version},
            text=_("From %(start)s on, usage is billed by these prices. A started version never changes.")
            % {"start": f"{version.starts_at:%Y-%m-%d %H:%M} UTC"},
            rows=_rows(version),
            form=Publish,
            run=run,
            button=_("Publish"),
            back=reverse("admin:metering_pricebookversion_change", args=[object_id]),
            nothing=_("It has no prices yet."),
        ).respond(request)

    @action(description=_("Withdraw"), icon="undo", permissions=["withdraw"])
    def withdraw(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """What is published and has not started becomes a draft again."""
        version = PriceBookVersion.objects.select_related("book").get(pk=object_id)

        def run(form: forms.Form) -> str:
            price_books.withdraw(
                version, timezone.now(), reason=form.cleaned_data["reason"], actor=audit.user_actor(request.user)
            )
            return str(_("A draft again. It comes into force only when it is published anew."))

        return Confirmation(
            page=self,
            title=_("Withdraw %(version)s") % {"version": version},
            text=_("It does not come into force on %(start)s, until it is published again.")
            % {"start": f"{version.starts_at:%Y-%m-%d %H:%M} UTC"},
            form=ReasonOnly,
            run=run,
            button=_("Withdraw it"),
            back=reverse("admin:metering_pricebookversion_change", args=[object_id]),
        ).respond(request)

    def has_withdraw_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """As for a change of a draft; the version itself is looked at when it is pressed."""
        return super().has_change_permission(request)

    @action(description=_("Copy to a new version"), icon="content_copy", permissions=["withdraw"])
    def copy(self, request: HttpRequest, object_id: int) -> HttpResponse:
        book = PriceBookVersion.objects.values_list("book", flat=True).get(pk=object_id)
        return HttpResponseRedirect(reverse("admin:metering_pricebook_new_version", args=[book]))

    @display(description=_("State"))
    def state_mark(self, version: PriceBookVersion) -> str:
        return version_badge(version)


class TenantPriceBookAdmin(LookOnly, AuditedAdmin):
    """A tenant's own book for a while: given, ended and taken back after a look at what it does; what has been billed by it stays."""

    form = forms.ModelForm
    reason_from = "reason"
    list_display = ("tenant", "book", "starts_at", "ends_at", "standing", "reason")
    list_filter = (("tenant", AutocompleteSelectFilter), ("book", RelatedDropdownFilter))
    search_fields = ("tenant__slug", "tenant__name", "book__name", "reason")
    list_select_related = ("tenant", "book")
    fieldsets = ((None, {"fields": (("tenant", "book"), ("starts_at", "ends_at"), "standing", "reason")}),)
    readonly_fields = ("standing",)
    actions_detail = ("end", "take_back")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super(LookOnly, self).has_add_permission(request)

    def has_act_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super(LookOnly, self).has_change_permission(request)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None) -> Any:
        require(self.has_add_permission(request))
        return give_page(request, self)

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """What has started can be ended, what has not can be taken back."""
        own = kwargs.get("obj")
        over = "/take_back/" if own is not None and own.starts_at <= timezone.now() else "/end/"
        context["actions_detail"] = [each for each in context.get("actions_detail", []) if over not in each["path"]]
        return super().render_change_form(request, context, *args, **kwargs)

    @action(description=_("End it"), icon="event_busy", permissions=["act"])
    def end(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return end_page(request, self, _own(object_id))

    @action(description=_("Take it back"), icon="undo", permissions=["act"])
    def take_back(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return take_back_page(request, self, _own(object_id))

    @display(description=_("State"))
    def standing(self, own: TenantPriceBook) -> str:
        now = timezone.now()
        if own.starts_at > now:
            return badge(_("Starts later"), "info")
        return badge(_("In force"), "good") if own.ends_at is None or own.ends_at > now else badge(_("Ended"), "")


def _own(object_id: int) -> TenantPriceBook:
    found = TenantPriceBook.objects.select_related("tenant__tier", "book").filter(pk=object_id).first()
    if found is None:
        raise Http404
    return found


admin.site.register(PriceBook, PriceBookAdmin)
admin.site.register(PriceBookVersion, PriceBookVersionAdmin)
admin.site.register(TenantPriceBook, TenantPriceBookAdmin)


def _rows(version: PriceBookVersion) -> list[tuple[str, str]]:
    """Name and price of each, as a confirmation lists them."""
    meters = memo.meters()
    said = [price_in_words(price, version.book.currency, meters) for price in version.prices.all()]
    return [(name, terms) for name, _, terms in (each.partition(": ") for each in said)]
