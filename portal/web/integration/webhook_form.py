"""A webhook endpoint."""

from __future__ import annotations

from django import forms
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from metering.webhooks.events import EVENTS


class WebhookForm(forms.Form):
    """Where messages go, and which."""

    url = forms.CharField(
        label=_("URL"),
        max_length=500,
        widget=forms.TextInput(
            attrs={"inputmode": "url", "autocomplete": "off", "spellcheck": "false", "placeholder": "https://"}
        ),
        help_text=_("https, on the public internet. Redirects are not followed."),
    )
    description = forms.CharField(
        label=_("What it is for"), required=False, max_length=120, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    event_types = forms.MultipleChoiceField(
        label=_("Events"),
        required=False,
        choices=[(key, format_html('{} <code class="muted">{}</code>', words, key)) for key, words in EVENTS.items()],
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None chosen: every event, new kinds too."),
    )
    is_active = forms.BooleanField(
        label=_("Send messages"),
        required=False,
        initial=True,
        help_text=_("While it is off, nothing is kept for it either."),
    )
