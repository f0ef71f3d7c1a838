"""The form of a price: what a charge model needs beyond its price in fields of their own, instead of JSON."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from metering.models import Price
from tenants.admin.wording import plain

NUMBERS = ("size", "allowance", "minimum", "overage_factor")
SMALL = {"size": "10", "autocomplete": "off", "inputmode": "decimal"}


def steps_to_text(steps: list[Mapping[str, Any]]) -> str:
    """'1000: 0.002' per step, 'beyond: 0.001' for the last, with '+ 5' for a step's fee."""
    lines = []
    for step in steps:
        fee = f" + {step['flat']}" if step.get("flat") not in (None, "0") else ""
        lines.append(f"{step.get('up_to') or 'beyond'}: {step.get('unit_price')}{fee}")
    return "\n".join(lines)


def text_to_steps(text: str) -> list[dict[str, str]]:
    """The steps that `steps_to_text` writes. Raises ValidationError naming the line."""
    steps = []
    for number, line in enumerate(filter(None, map(str.strip, text.splitlines())), start=1):
        end, colon, price = line.partition(":")
        unit_price, _plus, fee = price.partition("+")
        words = [unit_price.strip(), *([fee.strip()] if _plus else [])]
        is_last = end.strip().lower() == "beyond"
        if not colon or not all(_is_number(word) for word in words) or not (is_last or _is_number(end.strip())):
            raise ValidationError(
                _("Step %(number)d: write “1000: 0.002”, the last one “beyond: 0.001”; a fee as “1000: 0.002 + 5”."),
                params={"number": number},
            )
        step = {} if is_last else {"up_to": end.strip()}
        steps.append({**step, "unit_price": words[0], **({"flat": words[1]} if len(words) > 1 else {})})
    return steps


def _is_number(text: str) -> bool:
    try:
        return Decimal(text).is_finite() and text.isascii()
    except InvalidOperation:
        return False


class PriceForm(forms.ModelForm):
    """A price of a draft. What does not belong to its charge model is refused when the version is saved as a whole."""

    steps = forms.CharField(
        label=_("Steps"),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3, "cols": 22, "placeholder": "1000: 0.002\nbeyond: 0.001"}),
        help_text=_("Graduated and volume: up to how many units, and their price."),
    )
    size = forms.CharField(label=_("Package of"), required=False, widget=UnfoldAdminTextInputWidget(attrs=SMALL))
    allowance = forms.CharField(label=_("Free units"), required=False, widget=UnfoldAdminTextInputWidget(attrs=SMALL))
    minimum = forms.CharField(label=_("Minimum"), required=False, widget=UnfoldAdminTextInputWidget(attrs=SMALL))
    overage_factor = forms.CharField(
        label=_("Overage ×"), required=False, widget=UnfoldAdminTextInputWidget(attrs=SMALL)
    )

    class Meta:
        model = Price
        fields = ("meter", "charge_model", "unit_price", "dim_key", "dim_value")
        labels = {
            "charge_model": _("Model"),
            "unit_price": _("Price"),
            "dim_key": _("Only where"),
            "dim_value": _("is"),
        }
        help_texts = {"dim_key": _("A dimension, such as “model”: this price is for one value of it.")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "unit_price" in self.initial:
            self.initial["unit_price"] = plain(self.initial["unit_price"])
        params = self.instance.params or {}
        self.initial.update({name: params[name] for name in NUMBERS if name in params})
        if "tiers" in params:
            self.initial["steps"] = steps_to_text(params["tiers"])

    def clean_steps(self) -> list[dict[str, str]]:
        return text_to_steps(self.cleaned_data["steps"])

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        params: dict[str, Any] = {}
        for name in NUMBERS:
            text = (values.get(name) or "").strip()
            if text and not _is_number(text):
                self.add_error(name, _("Write a number, such as 100 or 0.5."))
            elif text:
                params[name] = text
        if values.get("steps"):
            params["tiers"] = values["steps"]
        self.instance.params = params
        return values
