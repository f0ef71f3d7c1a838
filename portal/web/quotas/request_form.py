"""Ask for a higher limit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import cast

from django import forms
from django.utils.translation import gettext_lazy as _

from tenants.limiting.quota_requests import LONGEST_JUSTIFICATION, Wish

LASTS = [
    ("", _("For good")), ("1", _("A boost for 1 day")), ("3", _("A boost for 3 days")), ("7", _("A boost for 1 week")),
    ("14", _("A boost for 2 weeks")), ("30", _("A boost for 30 days")), ("90", _("A boost for 90 days")),
]  # fmt: skip


class QuotaRequestForm(forms.Form):
    """Which limit, how much, how long, and what for."""

    limit = forms.ChoiceField(label=_("Limit"))
    asked = forms.DecimalField(
        label=_("New limit"),
        min_value=0,
        max_digits=20,
        decimal_places=6,
        error_messages={"min_value": _("Ask for more than the present limit.")},
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
        help_text=_("The whole new limit, not what is added to it. You may be granted a part."),
    )
    lasts = forms.ChoiceField(
        label=_("How long"),
        choices=LASTS,
        required=False,
        help_text=_("A boost ends by itself; you are told 7 days and 1 day before."),
    )
    justification = forms.CharField(
        label=_("What is it for?"),
        max_length=LONGEST_JUSTIFICATION,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("Who decides reads it: the project, the expected use, and by when you need it."),
    )

    def __init__(self, *args: object, choices: Sequence[tuple[str, str]], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # Django's own signature
        cast(forms.ChoiceField, self.fields["limit"]).choices = choices

    def wish(self, now: datetime) -> Wish:
        """What is asked for; a boost counts from the aware instant `now`."""
        values = self.cleaned_data
        kind, _colon, name = values["limit"].partition(":")
        until = now + timedelta(days=int(values["lasts"])) if values["lasts"] else None
        return Wish(kind, name, values["asked"], values["justification"], until)
