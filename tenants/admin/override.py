"""Overrides: limits of one tenant that replace its tier's, from and until. They are set and revoked, never edited."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter, RadioFilter
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from tenants import audit
from tenants.limiting import overrides
from tenants.models import Override
from tenants.problems import Invalid

from .base import AuditedAdmin, NeverDeleted
from .confirm import Confirmation, ReasonOnly
from .wording import amount, badge, limit_choices, limit_name

SCHEDULED, IN_FORCE, ENDED, REVOKED = "scheduled", "in_force", "ended", "revoked"
STATES = {SCHEDULED: _("Scheduled"), IN_FORCE: _("In force"), ENDED: _("Ended"), REVOKED: _("Revoked")}
TONES = {SCHEDULED: "info", IN_FORCE: "good", ENDED: "", REVOKED: ""}


def state_of(override: Override) -> str:
    """One of STATES, now."""
    now = timezone.now()
    if override.revoked_at is not None:
        return REVOKED
    if override.valid_from > now:
        return SCHEDULED
    return ENDED if override.valid_until is not None and override.valid_until <= now else IN_FORCE


def state_badge(override: Override) -> str:
    state = state_of(override)
    return badge(STATES[state], TONES[state])


class OverrideForm(forms.ModelForm):
    """One choice, `which`, says which limit; the rules of `overrides.set_limit` are checked before anything is written."""

    which = forms.ChoiceField(label=_("Limit"))

    class Meta:
        model = Override
        fields = ("tenant", "limit", "mode", "valid_from", "valid_until", "reason")
        labels = {"limit": _("New limit")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "limit" in self.fields:
            self.fields["limit"].widget = UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"})

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        start, end = values.get("valid_from"), values.get("valid_until")
        if end is not None and end <= (start or timezone.now()):
            self.add_error("valid_until", _("The end lies before the start."))
        kind, _colon, name = (values.get("which") or "").partition(":")
        if kind and "limit" in values:
            self.instance.kind, self.instance.name = kind, name
            try:
                overrides.check(kind, name, values["limit"], values.get("mode") or "")
            except Invalid as problem:
                raise ValidationError(str(problem)) from None
        return values


def offer_limits(form: Any) -> Any:
    """Fill the choice of a form class that was made for this request: one query, however many rows it serves."""
    choices = [("", _("Select value")), *limit_choices()]
    form.base_fields["which"] = forms.ChoiceField(label=_("Limit"), choices=choices, widget=UnfoldAdminSelectWidget)
    return form


class StateFilter(RadioFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(STATES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Override]) -> QuerySet[Override]:
        now = timezone.now()
        match self.value():
            case "in_force":
                return Override.objects.in_force(now) & queryset
            case "scheduled":
                return queryset.filter(revoked_at__isnull=True, valid_from__gt=now)
            case "ended":
                return queryset.filter(revoked_at__isnull=True, valid_until__lte=now)
            case "revoked":
                return queryset.filter(revoked_at__isnull=False)
        return queryset


class OverrideAdmin(NeverDeleted, AuditedAdmin):
    form = OverrideForm
    reason_from = "reason"
    list_display = (
        "limit_in_words",
        "tenant",
        "amount_in_words",
        "state_mark",
        "valid_from",
        "valid_until",
        "reason",
        "created_by",
    )
    list_filter = (("tenant", AutocompleteSelectFilter), StateFilter, ("kind", ChoicesDropdownFilter))
    search_fields = ("tenant__slug", "tenant__name", "name", "reason")
    list_select_related = ("tenant", "created_by")
    autocomplete_fields = ("tenant",)
    add_fieldsets = ((None, {"fields": ("tenant", "which", "limit", "mode", "valid_from", "valid_until", "reason")}),)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("tenant", "state_mark"),
                    ("limit_in_words", "amount_in_words", "mode"),
                    ("valid_from", "valid_until"),
                    "reason",
                    ("created_by", "created_at", "revoked_at"),
                )
            },
        ),
    )
    actions = ("revoke_selected",)
    actions_detail = ("revoke",)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        return form if obj else offer_limits(form)

    def has_change_permission(self, request: HttpRequest, obj: Override | None = None) -> bool:
        """Lists have actions for those who may change; a single override is never edited."""
        return obj is None and super().has_change_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Override, form: Any, change: bool) -> None:
        made = set_limit_from(request, obj)
        obj.pk = made.pk

    @action(description=_("Revoke"), icon="block", permissions=["revoke"])
    def revoke(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return self._revoke(request, Override.objects.filter(pk=object_id))

    @admin.action(description=_("Revoke"), permissions=["change"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[Override]) -> HttpResponse:
        return self._revoke(request, queryset, "revoke_selected")

    def has_revoke_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.has_change_permission(request)

    def _revoke(self, request: HttpRequest, rows: QuerySet[Override], name: str = "") -> HttpResponse:
        ended = [row for row in rows.select_related("tenant") if state_of(row) in (ENDED, REVOKED)]
        chosen = [row for row in rows.select_related("tenant") if row not in ended]

        def run(form: forms.Form) -> str:
            for row in chosen:
                overrides.revoke(row, actor=audit.user_actor(request.user), reason=form.cleaned_data["reason"])
            return str(_("Revoked. The tier's limits are in force again."))

        return Confirmation(
            page=self,
            title=_("Revoke overrides"),
            text=_("The tier's limit is in force again with the next request."),
            rows=[(str(row.tenant), f"{limit_name(row.kind, row.name)}: {amount(row.limit)}") for row in chosen],
            form=ReasonOnly,
            run=run,
            action=name,
            selected=[row.pk for row in chosen],
            button=_("Revoke"),
            danger=True,
            nothing=_("These overrides have ended already."),
        ).respond(request)

    @display(description=_("Limit"), ordering="name")
    def limit_in_words(self, override: Override) -> str:
        return limit_name(override.kind, override.name)

    @display(description=_("New limit"), ordering="limit")
    def amount_in_words(self, override: Override) -> str:
        return amount(override.limit)

    @display(description=_("State"))
    def state_mark(self, override: Override) -> str:
        return state_badge(override)


def set_limit_from(request: HttpRequest, obj: Override) -> Override:
    """Set the override that a form has filled in, as the signed-in operator."""
    return overrides.set_limit(
        obj.tenant,
        obj.kind,
        obj.name,
        obj.limit,
        mode=obj.mode,
        valid_from=obj.valid_from,
        valid_until=obj.valid_until,
        reason=obj.reason,
        actor=audit.user_actor(request.user),
        created_by=request.user,  # type: ignore[arg-type]  # the admin lets nobody in who is not signed in
    )


admin.site.register(Override, OverrideAdmin)
