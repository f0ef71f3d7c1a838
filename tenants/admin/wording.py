"""How limits read in the admin."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from tenants.models import LimitKind, TierQuota, Window

UNLIMITED = "∞"
_ABBREVIATIONS = {"api": "API", "gpu": "GPU", "gb": "GB"}
_PER_USER = {
    Window.MINUTE: "Calls per user and minute",
    Window.HOUR: "Calls per user and hour",
    Window.DAY: "Calls per user and day",
}


def amount(limit: Decimal | int | None) -> str:
    """'1,000,000', '0.5' or '∞'."""
    if limit is None:
        return UNLIMITED
    value = Decimal(limit)
    whole = value == value.to_integral_value()
    return number_format(value.quantize(Decimal(1)) if whole else value.normalize(), use_l10n=True, force_grouping=True)


def meter_name(key: str) -> str:
    """'GPU hours' of gpu_hours."""
    words = [_ABBREVIATIONS.get(word, word) for word in key.split("_")]
    return " ".join([words[0] if words[0].isupper() else words[0].capitalize(), *words[1:]])


def limit_name(kind: str, name: str) -> str:
    """'Calls per user and minute', 'GPU hours a month'."""
    if kind == LimitKind.RATE_LIMIT:
        return _PER_USER.get(Window(name), name) if name in Window.values else name
    return _("%(meter)s a month") % {"meter": meter_name(name)}


def limit_choices() -> list[tuple[str, str]]:
    """Every window and every meter that a tier limits, as ("kind:name", words)."""
    windows = [
        (f"{LimitKind.RATE_LIMIT.value}:{window.value}", limit_name(LimitKind.RATE_LIMIT, window)) for window in Window
    ]
    meters = TierQuota.objects.order_by("meter").values_list("meter", flat=True).distinct()
    return windows + [(f"{LimitKind.QUOTA.value}:{meter}", limit_name(LimitKind.QUOTA, meter)) for meter in meters]


def badge(text: Any, tone: str = "") -> SafeString:
    """A small label: tone is good, warn, bad, info or '' (neutral)."""
    return format_html('<span class="pa-badge{}">{}</span>', f" pa-{tone}" if tone else "", text)


def trimmed_limit(contents: str) -> str:
    """A read-only limit as a person writes it: an empty one is unlimited, and decimals that say nothing go."""
    text = str(contents)
    if text in ("", "-"):
        return UNLIMITED
    return text.rstrip("0").rstrip(".") if "." in text else text
