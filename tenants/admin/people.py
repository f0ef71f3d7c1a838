"""People and platform groups. Only a superuser makes staff: nobody raises themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import BooleanRadioFilter
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from tenants.enforcement.publishing.policy import publish_operators_after_commit
from tenants.models import User

from .base import AuditedAdmin
from .wording import badge

POWER = ("is_staff", "is_superuser", "groups", "user_permissions")


class UserAdmin(DjangoUserAdmin, AuditedAdmin):  # type: ignore[misc]  # two libraries, one attribute
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    asks_reason = False
    list_display = ("person", "email", "tenant_count", "platform_role", "is_active", "last_login")
    list_filter = (("is_staff", BooleanRadioFilter), ("is_active", BooleanRadioFilter))
    search_fields = ("username", "email", "first_name", "last_name")
    ordering = ("username",)
    filter_horizontal = ()
    autocomplete_fields = ("groups",)
    fieldsets = (
        (None, {"fields": (("username", "email"), ("first_name", "last_name"), "password", "is_active")}),
        (_("Platform staff"), {"fields": (("is_staff", "is_superuser"), "groups")}),
        (_("Dates"), {"fields": (("last_login", "date_joined"),)}),
    )
    add_fieldsets = ((None, {"fields": (("username", "email"), ("password1", "password2"))}),)
    readonly_fields = ("last_login", "date_joined")

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        active = Count("memberships", filter=Q(memberships__removed_at__isnull=True))
        return super().get_queryset(request).annotate(tenants_count=active)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return fields if request.user.is_superuser else (*fields, *POWER)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Operators look after tenants' people; accounts of staff are a superuser's business (or one's own)."""
        own_business = request.user.is_superuser or obj is None or not obj.is_staff or obj == request.user
        return own_business and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Accounts are switched off, so that the trail keeps its names."""
        return False

    def affected_tenants(self, obj: User) -> Iterable[int]:
        """A person's keys work as long as their account does."""
        return obj.memberships.filter(removed_at__isnull=True).values_list("tenant_id", flat=True)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        publish_operators_after_commit()

    @display(description=_("Person"), ordering="username", header=True)
    def person(self, user: User) -> list[str]:
        return [user.username, user.get_full_name()]

    @display(description=_("Tenants"), ordering="tenants_count")
    def tenant_count(self, user: Any) -> int:
        return user.tenants_count

    @display(description=_("Platform"))
    def platform_role(self, user: User) -> str:
        if user.is_superuser:
            return badge(_("Superuser"), "warn")
        return badge(_("Staff"), "info") if user.is_staff else "–"


class GroupAdmin(DjangoGroupAdmin, AuditedAdmin):  # type: ignore[misc]
    """Operators and Support are brought in line with the models by every migrate; further groups are the platform's own."""

    form: Any = forms.ModelForm
    asks_reason = False
    search_fields = ("name",)

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return request.user.is_superuser

    has_add_permission = has_change_permission  # type: ignore[assignment]
    has_delete_permission = has_change_permission


if admin.site.is_registered(Group):
    admin.site.unregister(Group)
admin.site.register(Group, GroupAdmin)
admin.site.register(User, UserAdmin)
