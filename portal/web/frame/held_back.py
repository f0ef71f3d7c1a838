"""The banner over every page of a tenant whose calls are held back by a spent budget: what happens, until when, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext as _

from tenants.access import Access
from tenants.limiting import blocks
from tenants.models import TenantBlock

from ..writing import formats


@dataclass(frozen=True)
class HeldBack:
    """One block in words. `url` leads to where it can be ended, for those who may."""

    tone: str
    title: str
    text: str
    url: str


def of(access: Access, now: datetime) -> list[HeldBack]:
    """The tenant's blocks at the aware instant `now`; one query. Amounts are said only to those who see costs."""
    return [_words(block, access) for block in blocks.in_force(access.tenant, now)]


def _words(block: TenantBlock, access: Access) -> HeldBack:
    titles = {
        "throttle": _("Calls are slowed down"),
        "block_gpu": _("New GPU reservations are refused"),
        "block": _("Calls are refused"),
    }
    if access.sees_costs:
        text = f"{block.detail} {_('Nothing is deleted.')}"
    elif block.until is None:
        text = _("Ask an owner or admin of this tenant. Nothing is deleted.")
    else:
        until = formats.moment(block.until, access.tenant.time_zone)
        text = _(
            "Until %(until)s, or until an owner, admin or billing contact raises the budget. Nothing is deleted."
        ) % {"until": until}
    may_raise = access.sees_costs and not access.read_only and block.origin.startswith("budget:")
    return HeldBack(
        tone="warn" if block.action == "throttle" else "bad",
        title=titles[block.action],
        text=text,
        url=reverse("web:budget", args=[access.tenant.slug]) if may_raise else "",
    )
