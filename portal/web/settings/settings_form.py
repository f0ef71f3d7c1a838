"""What a tenant's owner may change about it."""

from __future__ import annotations

from functools import cache
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _


class LongSelect(forms.Select):
    """A select of hundreds of plain options, written in one go: Django renders a template for each, which takes a tenth of a second."""

    def render(self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None) -> SafeString:
        flat = forms.utils.flatatt({**self.build_attrs(self.attrs, attrs), "name": name})
        options = format_html_join(
            "",
            '<option value="{}"{}>{}</option>',
            ((key, " selected" if str(key) == str(value) else "", text) for key, text in self.choices),
        )
        return format_html("<select{}>{}</select>", flat, options)


@cache
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
    time_zone = forms.ChoiceField(label=_("Time zone"), choices=_zones, widget=LongSelect)
