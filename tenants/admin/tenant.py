"""Tenants: list, page, and what an operator does to them. `metering.admin` adds money and usage, and registers the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateTimeFilter, RelatedDropdownFilter
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextInputWidget

from tenants import audit, provisioning
from tenants.limiting import overrides
from tenants.limiting.prefetching import prefetch_limits
from tenants.models import Membership, Override, Tenant, TenantState, User

from .base import AuditedAdmin, NeverDeleted, ReasonForm
from .confirm import Confirmation, ReasonForCallers, ReasonOnly
from .credential import ApiKeyAdmin
from .inlines import MembershipInline, OverrideInline
from .membership import save_membership
from .override import set_limit_from
from .wording import amount, badge, limit_name

TONES = {TenantState.ACTIVE: "good", TenantState.SUSPENDED: "warn", TenantState.CLOSED: "bad"}
MOST_AT_ONCE = 400
HIDDEN_ACTIONS = {
    TenantState.ACTIVE: {"resume"},
    TenantState.SUSPENDED: {"suspend", "new_key"},
    TenantState.CLOSED: {"suspend", "resume", "close", "new_key", "change_tier"},
}
"""Buttons that make no sense in a state; pressed nevertheless, they say so."""


def possible(actions: list[dict[str, Any]], state: TenantState) -> list[dict[str, Any]]:
    """The buttons of a tenant's page without those that its state forbids, in menus too."""
    found = []
    for each in actions:
        if "items" in each:
            each = {**each, "items": possible(each["items"], state)}
            found += [each] if each["items"] else []
        elif each["path"].rstrip("/").rsplit("/", 1)[-1] not in HIDDEN_ACTIONS[state]:
            found.append(each)
    return found


class ZoneInput(UnfoldAdminTextInputWidget):
    """A text box that proposes the zones there are; a list of six hundred options takes longer to draw than the rest of the page."""

    zones = format_html(
        '<datalist id="zones">{}</datalist>',
        format_html_join("", '<option value="{}">', ((zone,) for zone in sorted(available_timezones()))),
    )

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> Any:
        return (
            super().render(name, value, {**(attrs or {}), "list": "zones", "autocomplete": "off"}, renderer)
            + self.zones
        )


class TenantForm(ReasonForm):
    owner = forms.CharField(
        label=_("First owner"),
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("User name or e-mail address of an account that exists; empty: add people later."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "time_zone" in self.fields:
            self.fields["time_zone"].widget = ZoneInput()

    def clean_owner(self) -> User | None:
        given = self.cleaned_data["owner"].strip()
        if not given:
            return None
        found = list(User.objects.filter(Q(username=given) | Q(email__iexact=given), is_active=True)[:2])
        if len(found) != 1:
            raise ValidationError(_("No single active account has this user name or address."))
        return found[0]


class TenantAdmin(NeverDeleted, AuditedAdmin):
    form = TenantForm
    list_display: Any = ("identity", "state_mark", "tier", "created_at")
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("tier", RelatedDropdownFilter),
        ("created_at", RangeDateTimeFilter),
    )
    search_fields = ("slug", "name", "contact_email")
    list_select_related = ("tier",)
    ordering = ("slug",)
    add_fieldsets = (
        (None, {"fields": (("name", "slug"), ("tier", "contact_email"), ("time_zone", "currency"), "owner")}),
    )
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("name", "slug"),
                    ("tier", "contact_email"),
                    ("time_zone", "currency"),
                    ("state_mark", "state_reason"),
                )
            },
        ),
    )
    change_form_outer_after_template = "admin/portal/_tenant_limits.html"
    inlines: Any = (OverrideInline, MembershipInline)
    actions: Any = ("suspend_selected", "resume_selected")
    actions_detail: Any = (
        {"title": _("More"), "items": ["new_key", "trail"]},
        {"title": _("Change state"), "items": ["suspend", "resume", "close"]},
    )

    # ------------------------------------------------------------------------------------------------------------- form

    def get_readonly_fields(self, request: HttpRequest, obj: Tenant | None = None) -> tuple[str, ...]:
        return ("slug", "currency", "state_mark", "state_reason") if obj else ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tenant]:
        return super().get_queryset(request).select_related("tier")

    def get_inlines(self, request: HttpRequest, obj: Tenant | None) -> Any:
        return super().get_inlines(request, obj) if obj else ()

    def save_model(self, request: HttpRequest, obj: Tenant, form: Any, change: bool) -> None:
        who = {"actor": audit.user_actor(request.user), "reason": form.cleaned_data["audit_reason"]}
        if not change:
            values = {
                name: form.cleaned_data[name]
                for name in ("slug", "name", "tier", "time_zone", "currency", "contact_email", "owner")
            }
            obj.pk = provisioning.create_tenant(**values, **who).pk
            obj.refresh_from_db()
            return
        changed = {name: form.cleaned_data[name] for name in provisioning.UPDATABLE if name in form.changed_data}
        if changed:
            provisioning.update(obj, changed, **who)
        if "tier" in form.changed_data:
            provisioning.change_tier(obj, form.cleaned_data["tier"], **who)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Rows of the tabs go through the use cases as well; other inlines save as usual."""
        if formset.model not in (Override, Membership):
            super().save_formset(request, form, formset, change)
            return
        formset.save(commit=False)
        if formset.model is Override:
            for row in formset.new_objects:
                row.pk = set_limit_from(request, row).pk
            return
        reason = form.cleaned_data.get("audit_reason", "")
        for row in formset.new_objects:
            save_membership(request, row, reason, change=False, changed=[])
        for row, names in formset.changed_objects:
            save_membership(request, row, reason, change=True, changed=names)

    # ---------------------------------------------------------------------------------------------------------- columns

    @display(description=_("Tenant"), ordering="slug", header=True)
    def identity(self, tenant: Tenant) -> list[str]:
        return [tenant.name, tenant.slug]

    @display(description=_("State"), ordering="state")
    def state_mark(self, tenant: Tenant) -> str:
        return badge(tenant.get_state_display(), TONES[TenantState(tenant.state)])

    # ------------------------------------------------------------------------------------------------------------ panel

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        tenant = kwargs.get("obj")
        if tenant is not None:
            context.update(self.panel(request, tenant))
            context["actions_detail"] = possible(context.get("actions_detail") or [], TenantState(tenant.state))
        return super().render_change_form(request, context, *args, **kwargs)

    def panel(self, request: HttpRequest, tenant: Tenant) -> dict[str, Any]:
        """What the page shows above its form."""
        prefetch_limits([tenant])
        policy = overrides.effective_policy(tenant, timezone.now())
        return {"limits": [(limit_name(each.kind, each.name), amount(each.limit), each) for each in policy.limits]}

    # ---------------------------------------------------------------------------------------------------------- actions

    def has_make_key_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("tenants.add_apikey")

    def has_read_trail_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("tenants.view_auditentry")

    @action(description=_("New API key"), icon="key", permissions=["make_key"])
    def new_key(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return ApiKeyAdmin(Tenant.api_keys.rel.related_model, self.admin_site).new_key(
            request, Tenant.objects.get(pk=object_id)
        )

    @action(description=_("Audit trail"), icon="fact_check", permissions=["read_trail"])
    def trail(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return HttpResponseRedirect(f"{reverse('admin:tenants_auditentry_changelist')}?tenant__id__exact={object_id}")

    @action(description=_("Suspend"), icon="pause_circle", permissions=["change"])
    def suspend(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return self._suspend(request, Tenant.objects.filter(pk=object_id), back=self._page_of(object_id))

    @action(description=_("Resume"), icon="play_circle", permissions=["change"])
    def resume(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return self._resume(request, Tenant.objects.filter(pk=object_id), back=self._page_of(object_id))

    @action(description=_("Close"), icon="cancel", permissions=["change"])
    def close(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return self._transition(
            request,
            Tenant.objects.filter(pk=object_id),
            provisioning.close,
            [TenantState.ACTIVE, TenantState.SUSPENDED],
            back=self._page_of(object_id),
            title=_("Close tenants"),
            text=_("For good: calls are refused, every key is revoked. The ledger, invoices and the slug stay."),
            button=_("Close"),
            danger=True,
            nothing=_("Closed already."),
        )

    @admin.action(description=_("Suspend"), permissions=["change"])
    def suspend_selected(self, request: HttpRequest, queryset: QuerySet[Tenant]) -> HttpResponse:
        return self._suspend(request, queryset, action="suspend_selected")

    @admin.action(description=_("Resume"), permissions=["change"])
    def resume_selected(self, request: HttpRequest, queryset: QuerySet[Tenant]) -> HttpResponse:
        return self._resume(request, queryset, action="resume_selected")

    def _suspend(self, request: HttpRequest, queryset: QuerySet[Tenant], **more: Any) -> HttpResponse:
        return self._transition(
            request,
            queryset,
            provisioning.suspend,
            [TenantState.ACTIVE],
            title=_("Suspend tenants"),
            text=_("Their calls are refused with the next request; their people can still look. They read the reason."),
            button=_("Suspend"),
            danger=True,
            nothing=_("None of these tenants is active."),
            **more,
        )

    def _resume(self, request: HttpRequest, queryset: QuerySet[Tenant], **more: Any) -> HttpResponse:
        return self._transition(
            request,
            queryset,
            provisioning.resume,
            [TenantState.SUSPENDED],
            title=_("Resume tenants"),
            text=_("Their calls are taken again with the next request."),
            button=_("Resume"),
            nothing=_("None of these tenants is suspended."),
            **more,
        )

    def _transition(
        self,
        request: HttpRequest,
        queryset: QuerySet[Tenant],
        apply: Callable[..., Tenant],
        states: list[TenantState],
        **more: Any,
    ) -> HttpResponse:
        chosen = list(queryset.filter(state__in=states).select_related("tier")[:MOST_AT_ONCE])

        def run(form: forms.Form) -> str:
            for tenant in chosen:
                apply(tenant, actor=audit.user_actor(request.user), reason=form.cleaned_data["reason"])
            return ", ".join(f"{tenant}: {tenant.get_state_display().lower()}" for tenant in chosen[:5]) + "."

        rows = [(str(tenant), f"{tenant.slug} · {tenant.tier} · {tenant.get_state_display()}") for tenant in chosen]
        return Confirmation(
            page=self,
            form=ReasonForCallers if TenantState.ACTIVE in states else ReasonOnly,
            run=run,
            rows=rows,
            selected=[tenant.pk for tenant in chosen],
            **more,
        ).respond(request)

    @staticmethod
    def _page_of(object_id: Any) -> str:
        return reverse("admin:tenants_tenant_change", args=[object_id])
