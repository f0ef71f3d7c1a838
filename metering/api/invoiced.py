"""What was invoiced of a month, as the routes of costs say it beside the costs of today."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from metering.finance.invoiced import Comparison

from ..money import Money


class InvoicedSerializer(serializers.Serializer[Any]):
    """The issued invoices of the month in one currency, before tax. `today` = `invoiced` + `adjusted` + `unsettled`."""

    currency = serializers.CharField()
    invoices = serializers.ListField(child=serializers.CharField(), help_text="Their numbers; at most 100.")
    count = serializers.IntegerField()
    invoiced = serializers.CharField(help_text="Of this month's own usage and fees.")
    carried = serializers.CharField(help_text="On the same invoices, but settling earlier months.")
    adjusted = serializers.CharField(help_text="What changed about the month later and was settled on later invoices.")
    adjusted_on = serializers.ListField(child=serializers.CharField(), help_text="Their numbers; at most 100.")
    unsettled = serializers.CharField(help_text="What changed since and the next invoice settles.")
    today = serializers.CharField(help_text="What the invoiced months come to with everything known today.")
    explanation = serializers.ListField(child=serializers.CharField())


INVOICED = {
    "currency": "USD", "invoices": ["INV-000042"], "count": 1, "invoiced": "150.00", "carried": "0.00", "adjusted": "0.00", "adjusted_on": [],
    "unsettled": "3.75", "today": "153.75", "explanation": ["INV-000042 came to 150.00 USD before tax."],
}  # fmt: skip
MOST = 100


def as_dict(found: Comparison) -> dict[str, Any]:
    """The comparison as InvoicedSerializer says."""
    amounts = ("invoiced", "carried", "adjusted", "unsettled", "today")
    return {
        "currency": found.currency,
        "invoices": [invoice.number for invoice in found.invoices[:MOST]],
        "count": len(found.invoices),
        **{name: Money(getattr(found, name), found.currency).decimal_string() for name in amounts},
        "adjusted_on": found.adjusted_on[:MOST],
        "explanation": found.sentences(),
    }
