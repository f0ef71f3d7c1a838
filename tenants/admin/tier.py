"""Tiers with their rate limits and quotas. An edit holds for every tenant of the tier on its next request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget

from tenants import limits
from tenants.models import Tenant, Tier, TierQuota, TierRateLimit, Window

from . import wording
from .base import AuditedAdmin, Inline
from .wording import amount, badge, meter_name, plain


class RateLimitForm(forms.ModelForm):
    class Meta:
        model = TierRateLimit
        fields = ("window", "limit", "shadow")

    def clean_limit(self) -> int | None:
        limit = self.cleaned_data["limit"]
        if limit is not None and limit > limits.MAX_WINDOW_LIMIT:
            raise ValidationError(
                _("The highest limit is %(limit)s; leave it empty for unlimited."),
                params={"limit": amount(limits.MAX_WINDOW_LIMIT)},
            )
        return limit


class RateLimitInline(Inline):
    model = TierRateLimit
    form = RateLimitForm
    tab = False
    max_num = len(Window)
    hide_title = True
    verbose_name_plural = _("Rate limits, per user")


class QuotaForm(forms.ModelForm):
    class Meta:
        model = TierQuota
        fields = ("meter", "limit", "mode", "grace_percent", "shadow")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["limit"] = plain(self.initial.get("limit"))

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        limit = values.get("limit")
        if limit is not None and values.get("meter") == limits.API_CALLS and limit != int(limit):
            self.add_error("limit", _("Calls are counted whole."))
        return values


class QuotaInline(Inline):
    model = TierQuota
    form = QuotaForm
    tab = False
    hide_title = True
    verbose_name_plural = _("Quotas, per tenant and month")

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        """Offers the meters that exist; asked once for all rows."""
        formset: Any = super().get_formset(request, obj, **kwargs)
        choices = [("", _("Select value")), *((key, meter_name(key)) for key in _meter_keys(request))]
        formset.form.base_fields["meter"] = forms.ChoiceField(
            label=_("Meter"), choices=choices, widget=UnfoldAdminSelectWidget
        )
        return formset


class TierAdmin(AuditedAdmin):
    list_display = ("name", "rate_limits_in_words", "quotas_in_words", "tenant_count", "default_mark", "position")
    search_fields = ("slug", "name")
    inlines = (RateLimitInline, QuotaInline)
    fieldsets = ((None, {"fields": (("name", "slug"), "description", ("position", "is_default"))}),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tier]:
        rows = super().get_queryset(request).annotate(tenants_count=Count("tenants"))
        is_list = request.resolver_match is not None and request.resolver_match.url_name == "tenants_tier_changelist"
        return rows.prefetch_related("rate_limits", "quotas") if is_list else rows

    def get_readonly_fields(self, request: HttpRequest, obj: Tier | None = None) -> tuple[str, ...]:
        return ("slug",) if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: Tier | None = None) -> bool:
        """A tier with tenants is refused by the database; say so before."""
        return super().has_delete_permission(request, obj) and (obj is None or not _has_tenants(obj))

    def affected_tenants(self, obj: Tier) -> Iterable[int]:
        return Tenant.objects.filter(tier=obj).values_list("pk", flat=True)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        count = form.instance.tenants.count()
        if change and count:
            words = ngettext("In force now for %(count)d tenant.", "In force now for %(count)d tenants.", count)
            self.message_user(request, words % {"count": count})

    @display(description=_("Per user"))
    def rate_limits_in_words(self, tier: Tier) -> str:
        return " · ".join(f"{amount(each.limit)}/{each.window}" for each in tier.rate_limits.all()) or "–"

    @display(description=_("Per tenant and month"))
    def quotas_in_words(self, tier: Tier) -> str:
        return " · ".join(f"{amount(each.limit)} {meter_name(each.meter)}" for each in tier.quotas.all()) or "–"

    @display(description=_("Tenants"), ordering="tenants_count")
    def tenant_count(self, tier: Any) -> str:
        url = f"{reverse('admin:tenants_tenant_changelist')}?tier__id__exact={tier.pk}"
        return format_html('<a class="pa-link" href="{}">{}</a>', url, tier.tenants_count)

    @display(description=_("Default"))
    def default_mark(self, tier: Tier) -> str:
        return badge(_("New tenants"), "good") if tier.is_default else "–"


def _has_tenants(tier: Any) -> bool:
    return bool(tier.tenants_count) if hasattr(tier, "tenants_count") else tier.tenants.exists()


def _meter_keys(request: Any) -> list[str]:
    """The catalogue's meters, read once for a page: the admin makes the formset several times over."""
    if not hasattr(request, "meter_keys"):
        request.meter_keys = wording.meter_keys()
    return list(request.meter_keys)


admin.site.register(Tier, TierAdmin)
