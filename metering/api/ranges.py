"""Forecasts as the API tells them: a range at the end of a period, and the days on which a limit is passed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from rest_framework import serializers

from ..forecasting import Exceeds, Forecast
from ..money import plain, round_line


class RangeSerializer(serializers.Serializer[Any]):
    """What the month or quarter will probably come to: a range, not a promise."""

    p10 = serializers.CharField(help_text="In one of ten such cases it is less.")
    p50 = serializers.CharField()
    p90 = serializers.CharField(help_text="In one of ten such cases it is more.")


class ExceedsSerializer(serializers.Serializer[Any]):
    """When a limit is passed, in local days of the tenant; null: not in this period."""

    already = serializers.BooleanField()
    earliest = serializers.DateField(allow_null=True, help_text="If usage is as high as p90.")
    expected = serializers.DateField(allow_null=True)
    latest = serializers.DateField(allow_null=True, help_text="Even if usage is as low as p10.")


def range_of(forecast: Forecast | None, currency: str = "") -> dict[str, str] | None:
    """The range at the end of the period; None without a forecast."""
    end = forecast.end if forecast else None
    return {name: number_of(getattr(end, name), currency) for name in ("p10", "p50", "p90")} if end else None


def number_of(value: Decimal, currency: str) -> str:
    """An amount of money to the cent, or without a currency a plain number."""
    return round_line(value, currency).decimal_string() if currency else plain(value)


def exceeds_of(found: Exceeds | None) -> dict[str, Any] | None:
    """The days as ExceedsSerializer takes them; None where nothing can be said."""
    if found is None:
        return None
    return {
        "already": found.already,
        "earliest": found.earliest,
        "expected": found.expected,
        "latest": found.latest,
    }
