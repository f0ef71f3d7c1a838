"""What a tenant's owner may change about it."""

from __future__ import annotations

from zoneinfo import available_timezones

from django import forms
from django.utils.translation import gettext_lazy as _


def _zones() -> list[tuple[str, str]]:
    """Places by continent, and UTC; not the aliases that only old programs need."""
    return [
        (name, name)
        for name in sorted(available_timezones())
        if name == "UTC" or ("/" in name and not name.startswith(("Etc/", "SystemV/", "US/", "posix/", "right/")))
    ]


class SettingsForm(forms.Form):
    """Name, contact address and time zone."""

    name = forms.CharField(label=_("Name"), max_length=120)
    contact_email = forms.EmailField(
        label=_("Contact address"),
        required=False,
        help_text=_("Gets every mail about budgets, quotas and invoices, beside the people whom they concern."),
    )
    time_zone = forms.ChoiceField(label=_("Time zone"), choices=_zones)
