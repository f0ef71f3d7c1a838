"""Create an API key."""

from __future__ import annotations

from datetime import datetime, timedelta

from django import forms
from django.utils.translation import gettext_lazy as _

from tenants.access import Access
from tenants.models import Role
from tenants.models.apikey import Scope

LIFETIMES = [("30", _("30 days")), ("90", _("90 days")), ("180", _("180 days")), ("365", _("1 year")), ("", _("Never"))]
MEMBER_SCOPES = (Scope.DECIDE, Scope.USAGE_READ, Scope.QUOTA_READ)
"""What a member's own key may do: use the platform, and read what a member sees."""


class KeyForm(forms.Form):
    """Name, owner, scopes and lifetime of a new key."""

    name = forms.CharField(
        label=_("Name"),
        max_length=80,
        help_text=_("What uses it, such as “Nightly export”. You will see it in lists and in the audit trail."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    owner = forms.ChoiceField(
        label=_("Belongs to"),
        choices=[("me", _("Me: it shares my rate limits")), ("service", _("A service: it has rate limits of its own"))],
        initial="me",
    )
    scopes = forms.MultipleChoiceField(
        label=_("Scopes"),
        choices=Scope.choices,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Give it what it needs, no more."),
        error_messages={"required": _("Choose at least one scope: a key without any can do nothing.")},
    )
    lifetime = forms.ChoiceField(label=_("Expires after"), choices=LIFETIMES, initial="90", required=False)

    def __init__(self, *args: object, access: Access, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # Django's own signature
        if not access.can(Role.OWNER, Role.ADMIN):
            del self.fields["owner"]
            scopes = self.fields["scopes"]
            assert isinstance(scopes, forms.MultipleChoiceField)  # noqa: S101  # for the type checker
            scopes.choices = [(scope.value, scope.label) for scope in MEMBER_SCOPES]

    def expires_at(self, now: datetime) -> datetime | None:
        """The end of the chosen lifetime, counted from the aware instant `now`; None for a key that does not expire."""
        days = self.cleaned_data["lifetime"]
        return now + timedelta(days=int(days)) if days else None
