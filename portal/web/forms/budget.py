"""A tenant's monthly budget."""

from __future__ import annotations

import re
from decimal import Decimal

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext_lazy as _

MOST_THRESHOLDS = 10
MOST_RECIPIENTS = 20


class BudgetForm(forms.Form):
    """Amount, the percentages to warn at, and who is told."""

    amount = forms.DecimalField(
        label=_("Amount a month"),
        min_value=Decimal("0.01"),
        max_digits=14,
        decimal_places=2,
        error_messages={"min_value": _("A budget is more than zero.")},
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    thresholds = forms.CharField(
        label=_("Warn at"),
        max_length=80,
        help_text=_("Percentages of the amount, separated by commas, such as 80, 90, 100. Each warns once a month."),
        widget=forms.TextInput(attrs={"inputmode": "text", "autocomplete": "off"}),
    )
    recipients = forms.CharField(
        label=_("Tell"),
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text=_("E-mail addresses, one a line. Leave empty to tell owners, admins and billing."),
    )

    def clean_thresholds(self) -> list[int]:
        """Whole percentages, ascending, each once."""
        text = self.cleaned_data["thresholds"].replace("%", " ")
        parts = [part for part in re.split(r"[,;\s]+", text) if part]
        if not parts or not all(re.fullmatch(r"[0-9]{1,4}", part) for part in parts):
            raise ValidationError(_("Write whole percentages, separated by commas, such as 80, 90, 100."))
        found = sorted({int(part) for part in parts})
        if found[0] < 1 or found[-1] > 1000:
            raise ValidationError(_("A threshold lies between 1 and 1000 percent."))
        if len(found) > MOST_THRESHOLDS:
            raise ValidationError(_("Ten thresholds are the most; nobody reads more mails than that."))
        return found

    def clean_recipients(self) -> list[str]:
        """Single, valid addresses, each once, in the order given."""
        found: dict[str, None] = {}
        for line in re.split(r"[\s,;]+", self.cleaned_data["recipients"]):
            if not line:
                continue
            try:
                validate_email(line)
            except ValidationError:
                raise ValidationError(_("“%(line)s” is not an e-mail address."), params={"line": line[:80]}) from None
            found[line.lower()] = None
        if len(found) > MOST_RECIPIENTS:
            raise ValidationError(_("Twenty addresses are the most. Use a mailing list for more."))
        return list(found)
