"""Light, dark, or as the system has it: a cookie that the server reads, so that no page flashes."""

from __future__ import annotations

from django.http import HttpRequest

COOKIE = "theme"
THEMES = ("light", "dark")


def chosen_theme(request: HttpRequest | None) -> str:
    """'light', 'dark' or ''; anything else in the cookie counts as ''."""
    value = request.COOKIES.get(COOKIE, "") if request is not None else ""
    return value if value in THEMES else ""
