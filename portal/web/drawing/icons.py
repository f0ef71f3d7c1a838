"""The portal's icons: our own drawings on a 20 × 20 grid, 1.5 px strokes, written into the page as inline SVG.

Each value holds SVG shapes only; `svg()` puts the frame around them. An icon is decoration (`aria-hidden`) unless a
title is given, so every button that shows nothing but an icon needs its own `aria-label`.
"""

from __future__ import annotations

from functools import lru_cache

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

ICONS: dict[str, str] = {
    # places
    "overview": '<rect x="3" y="3" width="6" height="7.5" rx="1.5"/><rect x="11.5" y="3" width="5.5" height="4" rx="1.5"/>'
    '<rect x="11.5" y="9.5" width="5.5" height="7.5" rx="1.5"/><rect x="3" y="13" width="6" height="4" rx="1.5"/>',
    "monitoring": '<rect x="2.75" y="3.5" width="14.5" height="10" rx="1.75"/><path d="m5.5 10.5 2.5-3 2.5 2 3.5-4M7 17h6"/>',
    "usage": '<path d="M3 17h14"/><path d="M5.5 14v-3M10 14V5M14.5 14V8"/>',
    "costs": '<path d="M5 2.75h10v14.5l-2.5-1.75L10 17.25 7.5 15.5 5 17.25z"/><path d="M8 7h4M8 10.5h4"/>',
    "invoices": '<path d="M6 2.75h5.5L15 6.25v11H6z"/><path d="M11.25 3v3.5h3.5M8.5 10h4M8.5 13h4"/>',
    "quotas": '<path d="M3.2 14.5a7.5 7.5 0 1 1 13.6 0"/><path d="m10 11.5 3.25-4"/><circle cx="10" cy="12" r="1"/>',
    "keys": '<circle cx="6.75" cy="13.25" r="3.75"/><path d="m9.5 10.5 7-7M14 6l2 2M11.75 8.25l1.5 1.5"/>',
    "members": '<circle cx="7.75" cy="6.75" r="3"/><path d="M2.5 16.5c.3-3 2.4-4.75 5.25-4.75S12.7 13.5 13 16.5"/>'
    '<path d="M13 4.1a2.9 2.9 0 0 1 0 5.3M15 12.3c1.5.7 2.4 2.1 2.6 4.2"/>',
    "budget": '<circle cx="10" cy="10" r="7"/><circle cx="10" cy="10" r="3.25"/><path d="M10 3V1.5M17 10h1.5"/>',
    "activity": '<path d="M2.5 10h3.25L8 4.5l4 11 2.25-5.5h3.25"/>',
    "settings": '<path d="M3 6h7.5M14.5 6H17M3 14h2.5M9.5 14H17"/><circle cx="12.5" cy="6" r="2"/><circle cx="7.5" cy="14" r="2"/>',
    "security": '<path d="M10 2.5 4 4.75v4.5c0 4 2.6 6.8 6 8.25 3.4-1.45 6-4.25 6-8.25v-4.5z"/><path d="m7.5 9.9 1.8 1.8 3.2-3.4"/>',
    "reservations": '<rect x="3" y="4.5" width="14" height="12" rx="1.75"/><path d="M3 8.5h14M7 2.75v3M13 2.75v3"/><path d="m7.75 12.25 1.75 1.75 3-3.25"/>',
    "exports": '<path d="M10 3v8M6.5 7.75 10 11.25l3.5-3.5"/><path d="M3.5 12v3.25c0 .97.78 1.75 1.75 1.75h9.5c.97 0 1.75-.78 1.75-1.75V12"/>',
    # meters
    "api_calls": '<path d="M11 2.5 4.5 11.25H10L9 17.5l6.5-8.75H10z"/>',
    "gpu_hours": '<rect x="5" y="5" width="10" height="10" rx="1.75"/><rect x="8" y="8" width="4" height="4" rx=".5"/>'
    '<path d="M7.5 5V2.75M12.5 5V2.75M7.5 17.25V15M12.5 17.25V15M5 7.5H2.75M5 12.5H2.75M17.25 7.5H15M17.25 12.5H15"/>',
    "storage_gb": '<ellipse cx="10" cy="5" rx="6.25" ry="2.25"/><path d="M3.75 5v10c0 1.25 2.8 2.25 6.25 2.25s6.25-1 6.25-2.25V5"/>'
    '<path d="M3.75 10c0 1.25 2.8 2.25 6.25 2.25s6.25-1 6.25-2.25"/>',
    # actions
    "gpus": '<rect x="5" y="5" width="10" height="10" rx="1.75"/><rect x="8" y="8" width="4" height="4" rx=".5"/>'
    '<path d="M7.5 5V2.75M12.5 5V2.75M7.5 17.25V15M12.5 17.25V15M5 7.5H2.75M5 12.5H2.75M17.25 7.5H15M17.25 12.5H15"/>',
    "storage": '<ellipse cx="10" cy="5" rx="6.25" ry="2.25"/><path d="M3.75 5v10c0 1.25 2.8 2.25 6.25 2.25s6.25-1 6.25-2.25V5"/>'
    '<path d="M3.75 10c0 1.25 2.8 2.25 6.25 2.25s6.25-1 6.25-2.25"/>',
    "plus": '<path d="M10 4.5v11M4.5 10h11"/>',
    "close": '<path d="m5.5 5.5 9 9M14.5 5.5l-9 9"/>',
    "check": '<path d="m4.5 10.5 3.75 3.75 7.25-8"/>',
    "copy": '<rect x="7" y="7" width="9.5" height="9.5" rx="1.75"/><path d="M13 7V5.25c0-1-.75-1.75-1.75-1.75h-6c-1 0-1.75.75-1.75 1.75v6C3.5 12.25 4.25 13 5.25 13H7"/>',
    "download": '<path d="M10 3v9M6.25 8.75 10 12.5l3.75-3.75M3.5 16.5h13"/>',
    "trash": '<path d="M3.5 5.5h13M8 5.5v-2h4v2M5.25 5.5l.75 11h8l.75-11M8.5 9v4.5M11.5 9v4.5"/>',
    "edit": '<path d="m4 16 .75-3.5L13 4.25a1.6 1.6 0 0 1 2.25 0l.5.5a1.6 1.6 0 0 1 0 2.25L7.5 15.25z"/><path d="m11.75 5.5 2.75 2.75"/>',
    "refresh": '<path d="M16.5 10a6.5 6.5 0 0 1-11.3 4.4M3.5 10a6.5 6.5 0 0 1 11.3-4.4"/><path d="M15.25 2.5v3.25H12M4.75 17.5v-3.25H8"/>',
    "external": '<path d="M8.5 4.5H4.75c-.7 0-1.25.55-1.25 1.25v9.5c0 .7.55 1.25 1.25 1.25h9.5c.7 0 1.25-.55 1.25-1.25V11.5"/><path d="M11.75 3.5h4.75v4.75M16.25 3.75 9.5 10.5"/>',
    "menu": '<path d="M3 6h14M3 10h14M3 14h14"/>',
    "more": '<circle cx="4.75" cy="10" r=".9"/><circle cx="10" cy="10" r=".9"/><circle cx="15.25" cy="10" r=".9"/>',
    "logout": '<path d="M11.5 3.5H5.75c-.7 0-1.25.55-1.25 1.25v10.5c0 .7.55 1.25 1.25 1.25h5.75"/><path d="M8.5 10h8.5M14 6.75 17.25 10 14 13.25"/>',
    "eye": '<path d="M2 10s3-5.5 8-5.5S18 10 18 10s-3 5.5-8 5.5S2 10 2 10z"/><circle cx="10" cy="10" r="2.25"/>',
    "filter": '<path d="M3 5.5h14M5.75 10h8.5M8.5 14.5h3"/>',
    # arrows
    "chevron-down": '<path d="m5.5 8 4.5 4.5L14.5 8"/>',
    "chevron-right": '<path d="m8 5.5 4.5 4.5L8 14.5"/>',
    "chevron-left": '<path d="M12 5.5 7.5 10l4.5 4.5"/>',
    "switch": '<path d="m6.5 7.5 3.5-3.5 3.5 3.5M6.5 12.5 10 16l3.5-3.5"/>',
    "sort-up": '<path d="M10 15.5v-11M5.75 8.5 10 4.25l4.25 4.25"/>',
    "sort-down": '<path d="M10 4.5v11M5.75 11.5 10 15.75l4.25-4.25"/>',
    "trend-up": '<path d="m3 14 4.75-4.75 3 3L17 6M12.5 6H17v4.5"/>',
    "trend-down": '<path d="m3 6 4.75 4.75 3-3L17 14M12.5 14H17V9.5"/>',
    # states
    "info": '<circle cx="10" cy="10" r="7.25"/><path d="M10 9.25v4"/><circle cx="10" cy="6.5" r=".6" fill="currentColor"/>',
    "warn": '<path d="M10 3 2.25 16.25h15.5z"/><path d="M10 8.25v3.5"/><circle cx="10" cy="13.9" r=".5" fill="currentColor"/>',
    "bad": '<circle cx="10" cy="10" r="7.25"/><path d="M10 6.25v4.5"/><circle cx="10" cy="13.4" r=".6" fill="currentColor"/>',
    "good": '<circle cx="10" cy="10" r="7.25"/><path d="m6.75 10.25 2.25 2.25 4.25-4.75"/>',
    "lock": '<rect x="4.25" y="8.75" width="11.5" height="8" rx="1.75"/><path d="M6.75 8.75V6.25a3.25 3.25 0 0 1 6.5 0v2.5"/>',
    "clock": '<circle cx="10" cy="10" r="7.25"/><path d="M10 5.75V10l2.75 1.75"/>',
    "calendar": '<rect x="3" y="4.25" width="14" height="12.75" rx="1.75"/><path d="M3 8.5h14M6.75 2.5v3M13.25 2.5v3"/>',
    "mail": '<rect x="2.75" y="4.5" width="14.5" height="11" rx="1.75"/><path d="m3.25 6 6.75 5 6.75-5"/>',
    "webhooks": '<path d="M3.5 10h9M9.25 6.25 13 10l-3.75 3.75"/><path d="M16.5 4v12"/>',
    "bell": '<path d="M5 13.5V9a5 5 0 0 1 10 0v4.5l1.25 1.25H3.75z"/><path d="M8.25 17.25h3.5"/>',
    "user": '<circle cx="10" cy="6.75" r="3.25"/><path d="M3.75 17c.5-3.25 3-5 6.25-5s5.75 1.75 6.25 5"/>',
    "building": '<path d="M4.5 17V4.25c0-.7.55-1.25 1.25-1.25h5c.7 0 1.25.55 1.25 1.25V17M12 8.5h2.25c.7 0 1.25.55 1.25 1.25V17M2.75 17h14.5"/><path d="M7 6.5h2.5M7 9.75h2.5M7 13h2.5"/>',
    "sun": '<circle cx="10" cy="10" r="3.25"/><path d="M10 2.25v1.5M10 16.25v1.5M2.25 10h1.5M16.25 10h1.5M4.5 4.5l1.1 1.1M14.4 14.4l1.1 1.1M4.5 15.5l1.1-1.1M14.4 5.6l1.1-1.1"/>',
    "moon": '<path d="M16.75 11.75A7 7 0 0 1 8.25 3.25a7 7 0 1 0 8.5 8.5z"/>',
    "system": '<rect x="2.75" y="3.75" width="14.5" height="9.75" rx="1.5"/><path d="M7 16.75h6"/>',
}

# The mark: a coin with an A in it, after the aureus.
BRAND = (
    '<circle cx="12" cy="12" r="10.25" fill="none" stroke="currentColor" stroke-width="1.5"/>'
    '<circle cx="12" cy="12" r="7.75" fill="none" stroke="currentColor" stroke-width=".75" stroke-dasharray=".1 1.52" stroke-linecap="round"/>'
    '<path d="m8.6 16 3.4-8.4 3.4 8.4M9.85 13.1h4.3" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round"/>'
)


@lru_cache(maxsize=512)
def svg(name: str, css: str = "") -> SafeString:
    """Return the icon as inline SVG; an unknown name is a programming error and raises KeyError."""
    shapes = mark_safe(ICONS[name])  # noqa: S308  # nosec B308 B703 - a constant of this module
    return format_html(
        '<svg class="icon {}" viewBox="0 0 20 20" fill="none" stroke="currentColor" stroke-width="1.5" '
        'stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">{}</svg>',
        css,
        shapes,
    )


@lru_cache(maxsize=1)
def brand_svg() -> SafeString:
    """Return the product's mark as inline SVG."""
    shapes = mark_safe(BRAND)  # noqa: S308  # nosec B308 B703 - a constant of this module
    return format_html(
        '<svg class="brand-mark" viewBox="0 0 24 24" aria-hidden="true" focusable="false">{}</svg>', shapes
    )
