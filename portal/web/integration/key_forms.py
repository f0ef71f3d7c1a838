"""Create an API key, or rotate one."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast

from django import forms
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from tenants.access import Access
from tenants.credentials import apikeys
from tenants.models.apikey import Scope

LIFETIMES = [("30", _("30 days")), ("90", _("90 days")), ("180", _("180 days")), ("365", _("1 year")), ("", _("Never"))]


OVERLAPS = [
    ("0", _("Now: the old key ends at once")),
    ("3600", _("In an hour")),
    ("86400", _("In a day")),
    ("604800", _("In a week")),
    ("2592000", _("In 30 days")),
]


class RotateForm(forms.Form):
    """When the old key of a rotated pair ends."""

    overlap = forms.ChoiceField(
        label=_("The old key ends"),
        choices=OVERLAPS,
        initial="86400",
        help_text=_("Until then both keys work, so that your programs can change over one by one."),
    )

    def span(self) -> timedelta:
        """How long both keys work."""
        return timedelta(seconds=int(self.cleaned_data["overlap"]))


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
        allowed = apikeys.allowed_scopes(access.membership)
        cast(forms.MultipleChoiceField, self.fields["scopes"]).choices = [
            (scope.value, format_html('{} <code class="muted">{}</code>', scope.label, scope.value))
            for scope in Scope
            if scope in allowed
        ]
        if not access.manages:
            del self.fields["owner"]

    @property
    def is_service_key(self) -> bool:
        """Not bound to a person: it has rate limits of its own and outlives memberships."""
        return self.cleaned_data.get("owner") == "service"

    def expires_at(self, now: datetime) -> datetime | None:
        """The end of the chosen lifetime, counted from the aware instant `now`; None for a key that does not expire."""
        days = self.cleaned_data["lifetime"]
        return now + timedelta(days=int(days)) if days else None
