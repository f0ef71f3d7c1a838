"""How limits read in the admin."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants.models import LimitKind, TierQuota, Window

UNLIMITED = "∞"
_METERS = {
    "api_calls": gettext_lazy("API calls"),
    "gpu_hours": gettext_lazy("GPU hours"),
    "storage_gb": gettext_lazy("GB of storage"),
    "reserved_gpus": gettext_lazy("GPUs reserved at once"),
    "reservation_hours": gettext_lazy("Hours of one reservation"),
}
_LEVELS = frozenset({"storage_gb", "reserved_gpus", "reservation_hours"})
"""Names of quotas on what is held now, not on what adds up over a month."""
_PER_USER = {
    Window.MINUTE: gettext_lazy("Calls per user and minute"),
    Window.HOUR: gettext_lazy("Calls per user and hour"),
    Window.DAY: gettext_lazy("Calls per user and day"),
}


def amount(limit: Decimal | int | None) -> str:
    """'1,000,000', '0.5' or '∞'."""
    if limit is None:
        return UNLIMITED
    value = Decimal(limit)
    whole = value == value.to_integral_value()
    return number_format(value.quantize(Decimal(1)) if whole else value.normalize(), use_l10n=True, force_grouping=True)


def plain(limit: Decimal | None) -> Decimal | None:
    """The same number without decimals that say nothing: what a form starts from."""
    if limit is None or not isinstance(limit, Decimal):
        return limit
    return limit.quantize(Decimal(1)) if limit == limit.to_integral_value() else limit.normalize()


def meter_name(key: str) -> str:
    """'GPU hours' of gpu_hours."""
    if key in _METERS:
        return str(_METERS[key])
    words = key.replace("_", " ")
    return words[:1].upper() + words[1:]


def limit_name(kind: str, name: str) -> str:
    """'Calls per user and minute', 'GPU hours a month', 'GB of storage'."""
    if kind == LimitKind.RATE_LIMIT:
        return str(_PER_USER[Window(name)]) if name in Window.values else name
    return meter_name(name) if name in _LEVELS else _("%(meter)s a month") % {"meter": meter_name(name)}


def limit_choices() -> list[tuple[str, str]]:
    """Every window and every meter, as ("kind:name", words)."""
    windows = [
        (f"{LimitKind.RATE_LIMIT.value}:{window.value}", limit_name(LimitKind.RATE_LIMIT, window)) for window in Window
    ]
    return windows + [
        (f"{LimitKind.QUOTA.value}:{meter}", limit_name(LimitKind.QUOTA, meter)) for meter in meter_keys()
    ]


def use_meters(source: Callable[[], list[str]]) -> None:
    """Take the keys of meters from `source`. `metering.admin` calls this: tenants know no meters, only quotas that name them."""
    global meter_keys
    meter_keys = source


def _meters_of_tiers() -> list[str]:
    return list(TierQuota.objects.order_by("meter").values_list("meter", flat=True).distinct())


meter_keys: Callable[[], list[str]] = _meters_of_tiers


def badge(text: Any, tone: str = "") -> SafeString:
    """A small label: tone is good, warn, bad, info or '' (neutral)."""
    return format_html('<span class="pa-badge{}">{}</span>', f" pa-{tone}" if tone else "", text)


def trimmed_limit(contents: str) -> str:
    """A read-only limit as a person writes it: an empty one is unlimited, and decimals that say nothing go."""
    text = str(contents)
    if text in ("", "-"):
        return UNLIMITED
    return text.rstrip("0").rstrip(".") if "." in text else text
