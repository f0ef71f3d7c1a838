"""What belongs to a tenant, as tabs of its page."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from tenants.models import ApiKey, Membership, Override

from .base import Inline, LookOnly
from .credential import prefix_of
from .credential import state_badge as key_badge
from .membership import MemberForm
from .override import OverrideForm, state_badge
from .wording import limit_name, trimmed_limit


class OverrideInline(Inline):
    """Set here, revoked on the override's own page, never edited."""

    model = Override
    form = OverrideForm
    fields = ("which", "limit", "mode", "valid_from", "valid_until", "reason", "state_mark")
    readonly_fields = ("state_mark",)
    readonly_preprocess_fields = {"limit": trimmed_limit}
    show_change_link = True
    verbose_name_plural = _("overrides")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description=_("Limit"))
    def which(self, override: Override) -> str:
        return limit_name(override.kind, override.name)

    @display(description=_("State"))
    def state_mark(self, override: Override) -> str:
        return state_badge(override) if override.pk else "–"


class MembershipInline(Inline):
    model = Membership
    form = MemberForm
    fields = ("user", "role", "created_at")
    readonly_fields = ("created_at",)
    autocomplete_fields = ("user",)
    show_change_link = True
    verbose_name_plural = _("members")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        return super().get_queryset(request).filter(removed_at__isnull=True).select_related("user")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Members are removed on their own page, with a reason."""
        return False


class ApiKeyInline(LookOnly, Inline):
    model = ApiKey
    fields = ("name", "prefix", "owner", "state_mark", "expires_at", "last_used_at")
    readonly_fields = fields
    show_change_link = True
    verbose_name_plural = _("API keys")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        return super().get_queryset(request).select_related("tenant", "membership__user")

    @display(description=_("Prefix"))
    def prefix(self, key: ApiKey) -> str:
        return f"{prefix_of(key)}…"

    @display(description=_("Belongs to"))
    def owner(self, key: ApiKey) -> Any:
        return key.membership.user if key.membership else _("a service")

    @display(description=_("State"))
    def state_mark(self, key: ApiKey) -> str:
        return key_badge(key)
