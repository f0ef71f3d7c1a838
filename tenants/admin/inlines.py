"""What belongs to a tenant, as tabs of its page."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget

from tenants.models import Membership, Override

from .base import Inline
from .membership import MemberForm
from .override import OverrideForm, offer_limits, state_badge
from .wording import limit_name, trimmed_limit


def row_link(row: Any, text: Any) -> str:
    """A link to the row's own page, where it is revoked or removed; '–' for a row that is not saved yet."""
    if row.pk is None:
        return "–"
    url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    return format_html('<a class="pa-link" href="{}">{}</a>', url, text)


class OverrideInline(Inline):
    """Set here, revoked on the override's own page, never edited."""

    model = Override
    form = OverrideForm
    fields = ("which", "limit", "mode", "valid_from", "valid_until", "reason", "state_mark")
    readonly_fields = ("state_mark",)
    readonly_preprocess_fields = {"limit": trimmed_limit}
    verbose_name_plural = _("overrides")

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        formset: Any = super().get_formset(request, obj, **kwargs)
        offer_limits(formset.form)
        return formset

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description=_("Limit"))
    def which(self, override: Override) -> str:
        return row_link(override, limit_name(override.kind, override.name))

    @display(description=_("State"))
    def state_mark(self, override: Override) -> str:
        return state_badge(override) if override.pk else "–"


class MemberRowForm(MemberForm):
    """A person is chosen once: the rows of present members name theirs, and only the role can change."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        user = self.fields.get("user")
        if user is not None and self.instance.pk:
            user.disabled = True
            user.widget = UnfoldAdminSelectWidget(choices=[(self.instance.user_id, str(self.instance.user))])


class MembershipInline(Inline):
    model = Membership
    form = MemberRowForm
    fields = ("user", "role", "created_at", "page")
    readonly_fields = ("created_at", "page")
    autocomplete_fields = ("user",)
    verbose_name_plural = _("members")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        return super().get_queryset(request).filter(removed_at__isnull=True).select_related("user")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Members are removed on their own page, with a reason."""
        return False

    @display(description="")
    def page(self, membership: Membership) -> str:
        return row_link(membership, _("Open"))
