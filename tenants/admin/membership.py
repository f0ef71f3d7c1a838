"""Who belongs to a tenant: on the tenant's page, and as a list over all."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import (
    AutocompleteSelectFilter,
    BooleanRadioFilter,
    ChoicesDropdownFilter,
    RadioFilter,
)
from unfold.decorators import action, display

from tenants import audit
from tenants.models import Membership, Role
from tenants.people import memberships

from .base import AuditedAdmin, NeverDeleted, ReasonForm
from .confirm import Confirmation, ReasonOnly
from .wording import badge

ROLE_TONES = {Role.OWNER: "info", Role.ADMIN: "info", Role.BILLING: "warn"}


class MemberForm(forms.ModelForm):
    """Lets a removed member come back: (tenant, user) is unique over removed ones too, and `memberships.add` tells them apart."""

    def validate_unique(self) -> None:
        return

    def validate_constraints(self) -> None:
        return


class MembershipForm(MemberForm, ReasonForm):
    pass


class PresentFilter(RadioFilter):
    title = _("state")
    parameter_name = "present"
    all_option = None

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("", _("Present")), ("left", _("Removed")), ("all", _("All"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Membership]) -> QuerySet[Membership]:
        match self.value():
            case "left":
                return queryset.filter(removed_at__isnull=False)
            case "all":
                return queryset
        return queryset.filter(removed_at__isnull=True)


class MembershipAdmin(NeverDeleted, AuditedAdmin):
    form = MembershipForm
    list_display = ("user", "tenant", "role_mark", "created_at", "removed_at")
    list_filter = (
        PresentFilter,
        ("tenant", AutocompleteSelectFilter),
        ("role", ChoicesDropdownFilter),
        ("user__is_staff", BooleanRadioFilter),
    )
    search_fields = ("user__username", "user__email", "tenant__slug", "tenant__name")
    list_select_related = ("user", "tenant")
    autocomplete_fields = ("tenant", "user")
    add_fieldsets = ((None, {"fields": ("tenant", "user", "role")}),)
    fieldsets = ((None, {"fields": (("tenant", "user"), "role", ("subject", "created_at", "removed_at"))}),)
    actions_detail = ("remove",)

    def get_readonly_fields(self, request: HttpRequest, obj: Membership | None = None) -> tuple[str, ...]:
        return ("tenant", "user", "subject", "created_at", "removed_at") if obj else ()

    def save_model(self, request: HttpRequest, obj: Membership, form: Any, change: bool) -> None:
        save_membership(
            request, obj, form.cleaned_data.get("audit_reason", ""), change=change, changed=form.changed_data
        )

    @action(description=_("Remove"), icon="person_remove", permissions=["change"])
    def remove(self, request: HttpRequest, object_id: int) -> HttpResponse:
        membership = Membership.objects.select_related("tenant", "user").get(pk=object_id)

        def run(form: forms.Form) -> str:
            memberships.remove(
                membership, by=None, actor=audit.user_actor(request.user), reason=form.cleaned_data["reason"]
            )
            return str(_("Removed. Their keys are revoked."))

        return Confirmation(
            page=self,
            title=_("Remove %(user)s from %(tenant)s") % {"user": membership.user, "tenant": membership.tenant},
            text=_("They lose access at once, and every key of theirs is revoked. Usage and the trail stay."),
            form=ReasonOnly,
            run=run,
            button=_("Remove"),
            danger=True,
        ).respond(request)

    @display(description=_("Role"), ordering="role")
    def role_mark(self, membership: Membership) -> str:
        return badge(membership.get_role_display(), ROLE_TONES.get(Role(membership.role), ""))


def save_membership(request: HttpRequest, obj: Membership, reason: str, *, change: bool, changed: list[str]) -> None:
    """Write a membership that a form has filled in, through the use cases; a removed member comes back. Raises ProblemError."""
    actor = audit.user_actor(request.user)
    if not change:
        obj.pk = memberships.add(obj.tenant, obj.user, obj.role, by=None, actor=actor, reason=reason).pk
    elif "role" in changed:
        memberships.change_role(obj, obj.role, by=None, actor=actor, reason=reason)


admin.site.register(Membership, MembershipAdmin)
