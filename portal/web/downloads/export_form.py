"""What shall be in a file."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from metering.models import ExportKind


class ExportForm(forms.Form):
    """Kind and days, both included, of the tenant's calendar."""

    kind = forms.ChoiceField(label=_("What"), choices=ExportKind.choices)
    first = forms.DateField(label=_("From"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))
    last = forms.DateField(label=_("To"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))
