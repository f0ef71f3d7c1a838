"""API keys and operator tokens: made on a page that shows the secret once, revoked, never edited. No digest is ever shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter, RadioFilter
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminTextInputWidget,
)

from tenants import audit
from tenants.credentials import apikeys, operator_tokens
from tenants.models import ApiKey, Membership, OperatorToken, Tenant, User

from .base import LookOnly, ReadOnlyAdmin, reason_field, require
from .confirm import Confirmation, ReasonOnly
from .wording import badge

PRESET_NAMES = {
    "service": _("Service: asks for decisions, sends usage"),
    "read": _("Read: usage, quotas, costs, budgets, keys"),
    "admin": _("Admin: everything a tenant can do"),
}
STATES = {"usable": _("Usable"), "expired": _("Expired"), "revoked": _("Revoked")}
TONES = {"usable": "good", "expired": "warn", "revoked": ""}


def state_of(credential: ApiKey | OperatorToken) -> str:
    """One of STATES, now."""
    if credential.revoked_at is not None:
        return "revoked"
    return "usable" if credential.is_usable(timezone.now()) else "expired"


def state_badge(credential: ApiKey | OperatorToken) -> str:
    state = state_of(credential)
    return badge(STATES[state], TONES[state])


class NewCredential(forms.Form):
    """What every credential has."""

    name = forms.CharField(
        label=_("Name"), max_length=80, widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"})
    )
    expires_at = forms.DateField(
        label=_("Expires"),
        required=False,
        widget=UnfoldAdminSingleDateWidget,
        help_text=_("At 00:00 UTC of that day; empty: never."),
    )
    reason = reason_field()

    def expiry(self) -> datetime | None:
        """The aware start of the chosen day, or None."""
        day = self.cleaned_data["expires_at"]
        return None if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC)


class NewKey(NewCredential):
    """A key whose tenant is not known yet: a service's, since people belong to tenants."""

    tenant = forms.ModelChoiceField(Tenant.objects.order_by("slug"), label=_("Tenant"), widget=UnfoldAdminSelectWidget)
    preset = forms.ChoiceField(label=_("May"), choices=list(PRESET_NAMES.items()), widget=UnfoldAdminSelectWidget)
    field_order = ("tenant", "name", "preset", "member", "expires_at", "reason")


def new_key_form(tenant: Tenant | None) -> type[forms.Form]:
    """The form for a key of `tenant`, or of one to choose."""
    if tenant is None:
        return NewKey
    members = Membership.objects.filter(tenant=tenant, removed_at__isnull=True).select_related("user")

    class NewKeyOfTenant(NewKey):
        member = forms.ModelChoiceField(
            members,
            label=_("Belongs to"),
            required=False,
            empty_label=_("A service of its own"),
            widget=UnfoldAdminSelectWidget,
            help_text=_("The keys of a person share that person's rate limit. A service has its own."),
        )
        tenant = None  # type: ignore[assignment]  # taken off the form

    return NewKeyOfTenant


class StateFilter(RadioFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(STATES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        now = timezone.now()
        match self.value():
            case "revoked":
                return queryset.filter(revoked_at__isnull=False)
            case "expired":
                return queryset.filter(revoked_at__isnull=True, expires_at__lte=now)
            case "usable":
                return queryset.filter(revoked_at__isnull=True).exclude(expires_at__lte=now)
        return queryset


class CredentialAdmin(ReadOnlyAdmin):
    """Lists, makes and revokes; the rows themselves cannot be edited."""

    actions_detail = ("revoke",)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super(LookOnly, self).has_add_permission(request)  # past LookOnly: credentials are made here

    def has_revoke_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return super(LookOnly, self).has_change_permission(request)

    @action(description=_("Revoke"), icon="block", permissions=["revoke"])
    def revoke(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return self._revoke(request, self.model._default_manager.filter(pk=object_id))

    @admin.action(description=_("Revoke"), permissions=["revoke"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return self._revoke(request, queryset, "revoke_selected")

    def _revoke(self, request: HttpRequest, rows: QuerySet[Any], name: str = "") -> HttpResponse:
        chosen = [row for row in rows if row.revoked_at is None]

        def run(form: forms.Form) -> str:
            for row in chosen:
                self.revoke_row(row, audit.user_actor(request.user), form.cleaned_data["reason"])
            return str(_("Revoked. The next request with it is refused."))

        return Confirmation(
            page=self,
            title=_("Revoke credentials"),
            text=_("They stop working at once, for good."),
            rows=[(str(row), self.describe(row)) for row in chosen],
            form=ReasonOnly,
            run=run,
            action=name,
            selected=[row.pk for row in chosen],
            button=_("Revoke"),
            danger=True,
            nothing=_("They are revoked already."),
        ).respond(request)

    def revoke_row(self, row: Any, actor: str, reason: str) -> None:
        raise NotImplementedError

    def describe(self, row: Any) -> str:
        raise NotImplementedError

    def show_once(self, request: HttpRequest, text: str, title: Any, back: str) -> HttpResponse:
        """The page with the secret: never cached, and there is no way to see it again."""
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "opts": self.model._meta,
            "title": title,
            "secret": text,
            "back": back,
        }
        response = TemplateResponse(request, "admin/portal/secret.html", context)
        response["Cache-Control"] = "no-store"
        return response

    @display(description=_("State"))
    def state_mark(self, row: Any) -> str:
        return state_badge(row)


class ApiKeyAdmin(CredentialAdmin):
    list_display = (
        "name_and_id",
        "tenant",
        "owner",
        "scopes_in_words",
        "state_mark",
        "expires_at",
        "last_used_at",
        "created_at",
    )
    list_filter = (("tenant", AutocompleteSelectFilter), StateFilter)
    search_fields = ("name", "key_id", "tenant__slug", "tenant__name", "membership__user__username")
    list_select_related = ("tenant", "membership__user", "created_by")
    fields = (
        ("name", "state_mark"),
        ("tenant", "owner"),
        ("prefix", "scopes_in_words"),
        ("created_at", "created_by"),
        ("expires_at", "revoked_at", "last_used_at"),
    )
    actions = ("revoke_selected",)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        require(self.has_add_permission(request))
        number = request.GET.get("tenant", "")
        tenant = Tenant.objects.filter(pk=number).first() if number.isascii() and number.isdigit() else None
        return self.new_key(request, tenant)

    def new_key(self, request: HttpRequest, tenant: Tenant | None) -> HttpResponse:
        """The form for a new key, then the page that shows it."""
        back = reverse("admin:tenants_tenant_change", args=[tenant.pk]) + "#api_keys" if tenant else ""

        def run(form: Any) -> HttpResponse:
            issued = apikeys.create(
                tenant or form.cleaned_data["tenant"],
                name=form.cleaned_data["name"],
                scopes=apikeys.PRESETS[form.cleaned_data["preset"]],
                by=None,
                actor=audit.user_actor(request.user),
                reason=form.cleaned_data["reason"],
                member=form.cleaned_data.get("member"),
                expires_at=form.expiry(),
                created_by=request.user,  # type: ignore[arg-type]
            )
            return self.show_once(
                request, issued.text, _("New API key of %(tenant)s") % {"tenant": issued.key.tenant}, back
            )

        return Confirmation(
            page=self,
            title=_("New API key of %(tenant)s") % {"tenant": tenant} if tenant else _("New API key"),
            text=_("The key is shown once, on the next page."),
            form=new_key_form(tenant),
            run=run,
            button=_("Make the key"),
            back=back,
        ).respond(request)

    def revoke_row(self, row: ApiKey, actor: str, reason: str) -> None:
        apikeys.revoke(row, by=None, actor=actor, reason=reason)

    def describe(self, row: ApiKey) -> str:
        return f"{row.tenant} · {prefix_of(row)}…"

    @display(description=_("Key"), ordering="name", header=True)
    def name_and_id(self, key: ApiKey) -> list[str]:
        return [key.name, f"{prefix_of(key)}…"]

    @display(description=_("Prefix"))
    def prefix(self, key: ApiKey) -> str:
        return f"{prefix_of(key)}_…"

    @display(description=_("Belongs to"), ordering="membership__user__username")
    def owner(self, key: ApiKey) -> Any:
        return key.membership.user if key.membership else _("a service")

    @display(description=_("Scopes"))
    def scopes_in_words(self, key: ApiKey) -> str:
        preset = next((name for name, scopes in apikeys.PRESETS.items() if scopes == frozenset(key.scopes)), None)
        return preset or ", ".join(key.scopes)


def new_token_form(by: User) -> type[forms.Form]:
    """The form for a token. Only a superuser makes one in a colleague's name."""
    staff = User.objects.filter(is_active=True, is_staff=True).order_by("username")

    class NewToken(NewCredential):
        user = forms.ModelChoiceField(
            staff if by.is_superuser else staff.filter(pk=by.pk), label=_("Operator"), widget=UnfoldAdminSelectWidget
        )
        field_order = ("user", "name", "expires_at", "reason")

    return NewToken


class OperatorTokenAdmin(CredentialAdmin):
    list_display = ("name", "user", "token_id", "state_mark", "expires_at", "last_used_at", "created_at")
    list_filter = (StateFilter,)
    search_fields = ("name", "token_id", "user__username")
    list_select_related = ("user",)
    fields = (("name", "state_mark"), ("user", "token_id"), "created_at", ("expires_at", "revoked_at", "last_used_at"))
    actions = ("revoke_selected",)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        require(self.has_add_permission(request))

        def run(form: Any) -> HttpResponse:
            issued = operator_tokens.create(
                form.cleaned_data["user"],
                name=form.cleaned_data["name"],
                actor=audit.user_actor(request.user),
                reason=form.cleaned_data["reason"],
                expires_at=form.expiry(),
            )
            return self.show_once(
                request, issued.text, _("New operator token"), reverse("admin:tenants_operatortoken_changelist")
            )

        return Confirmation(
            page=self,
            title=_("New operator token"),
            text=_("It reaches every tenant through the API, as its operator. It is shown once, on the next page."),
            form=new_token_form(request.user),  # type: ignore[arg-type]
            run=run,
            initial={"user": request.user.pk},
            button=_("Make the token"),
        ).respond(request)

    def revoke_row(self, row: OperatorToken, actor: str, reason: str) -> None:
        operator_tokens.revoke(row, actor=actor, reason=reason)

    def describe(self, row: OperatorToken) -> str:
        return f"{row.user} · gpo_{settings.API_KEY_ENV}_{row.token_id}…"


def prefix_of(key: ApiKey) -> str:
    """The part of the key's text that is no secret, as its holder sees it."""
    return f"gpk_{settings.API_KEY_ENV}_{key.tenant.slug}_{key.key_id}"


admin.site.register(ApiKey, ApiKeyAdmin)
admin.site.register(OperatorToken, OperatorTokenAdmin)
