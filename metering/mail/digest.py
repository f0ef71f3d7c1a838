"""The mails of the notification centre: the day's digest, a change of who has access, a file that is ready."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from . import wording
from .rendering import Letter, page, render


@dataclass(frozen=True, slots=True)
class Item:
    """One notice: what, when, and the page that explains it."""

    title: str
    at: datetime
    url: str


def digest(tenant: str, slug: str, zone: str, items: Sequence[Item]) -> Letter:
    """The notices of a day, oldest first."""
    count = len(items)
    context = {
        "tenant": tenant,
        "headline": "One notice" if count == 1 else f"{count} notices",
        "items": [{"title": item.title, "at": wording.moment(item.at, zone), "url": item.url} for item in items],
        "url": page("web:notices", slug),
        "page_label": "See all notices",
        "zone": zone,
        "why": "You receive this once a day because you chose so in the portal, under Notifications.",
    }
    return render("notice-digest", context)


def access_changed(tenant: str, slug: str, zone: str, headline: str, text: str, at: datetime) -> Letter:
    """Somebody got in, or looked: for the tenant's owners and admins."""
    context = {
        "tenant": tenant,
        "headline": headline,
        "text": text,
        "at": wording.moment(at, zone),
        "url": page("web:activity", slug),
        "page_label": "Look at the activity",
        "zone": zone,
        "why": f"You receive this as an owner or admin of {tenant}. How it comes is your choice, under Notifications.",
    }
    return render("access-changed", context)


def export_ready(tenant: str, slug: str, zone: str, filename: str, rows: int, expires_at: datetime) -> Letter:
    """To who has asked for a file: it can be fetched now."""
    context = {
        "tenant": tenant,
        "headline": f"{filename} is ready",
        "rows": f"{rows:,}",
        "until": wording.moment(expires_at, zone),
        "url": page("web:exports", slug),
        "page_label": "Download it",
        "zone": zone,
        "why": "You receive this because you asked for the file.",
    }
    return render("export-ready", context)
