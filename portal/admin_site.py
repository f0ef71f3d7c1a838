"""What django-unfold asks the portal for: colours, the environment's badge, the side bar, the dashboard. Named in settings.UNFOLD."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse

from portal.admin import dashboard as dashboard_page
from portal.admin.rooms import ROOMS, Entry, Room

Item = dict[str, Any]
BASE = {
    "50": "#fafafa", "100": "#f4f4f5", "200": "#e8e8eb", "300": "#d6d6db", "400": "#9c9ca8", "500": "#6a6a74", "600": "#4c4c55",
    "700": "#3a3a42", "800": "#26262c", "900": "#131316", "950": "#0b0b0d",
}  # fmt: skip
"""The portal's neutrals."""
PRIMARY = {
    "50": "#f1f1fd", "100": "#e5e4fb", "200": "#cfcdf7", "300": "#aeabf1", "400": "#8f8cff", "500": "#716de8", "600": "#5753d6",
    "700": "#4a46c9", "800": "#3a379c", "900": "#2e2c7a", "950": "#1c1b4d",
}  # fmt: skip
"""The portal's accent, from light to dark."""


def colors(request: HttpRequest) -> dict[str, dict[str, str]]:
    """unfold's palette in the portal's colours."""
    return {
        "base": dict(BASE),
        "primary": dict(PRIMARY),
        "font": {
            "subtle-light": "var(--color-base-500)",
            "subtle-dark": "var(--color-base-400)",
            "default-light": "var(--color-base-600)",
            "default-dark": "var(--color-base-300)",
            "important-light": "var(--color-base-900)",
            "important-dark": "var(--color-base-100)",
        },
    }


def stylesheet(request: HttpRequest) -> str:
    return static("portal/admin/admin.css")


def script(request: HttpRequest) -> str:
    return static("portal/admin/admin.js")


def favicon(request: HttpRequest) -> str:
    return static("portal/favicon.svg")


def environment(request: HttpRequest) -> list[str] | None:
    """The badge beside the title, so that nobody takes a demo for production."""
    if settings.PRODUCTION:
        return None
    return [str(settings.PORTAL_ENV).capitalize(), "warning"]


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The admin's first page."""
    if _may("tenants.view_tenant")(request):
        context.update(dashboard_page.context(request))
    return context


def navigation(request: HttpRequest) -> list[Item]:
    """The side bar, by what operators come for: see `portal.admin.rooms`."""
    return [_group(room) for room in ROOMS]


def _group(room: Room) -> Item:
    entries = [_entry(entry) for entry in room.entries]
    return {"title": room.title, "separator": bool(room.title), "collapsible": False, "items": entries}


def _entry(entry: Entry) -> Item:
    item = {"title": entry.title, "icon": entry.icon, "link": reverse(entry.url), "permission": _may(entry.permission)}
    return _only(item, but=entry.but) if entry.but else item


def _only(item: Item, *, but: tuple[str, ...]) -> Item:
    """Marked on its own pages, not on `but`, which lie below its address and have entries of their own."""
    others = {reverse(name) for name in but}
    return {**item, "active": lambda request: request.path.startswith(item["link"]) and request.path not in others}


def _may(permission: str) -> Callable[[HttpRequest], bool]:
    return lambda request: request.user.has_perm(permission)
