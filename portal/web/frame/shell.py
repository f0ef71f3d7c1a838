"""The frame around a tenant's page: who is looking, at which tenant, and where they may go."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.access import Access
from tenants.models import Role, Tenant, Visit

from ..drawing.components import NavItem
from . import held_back
from .held_back import HeldBack

ALL = (Role.OWNER, Role.ADMIN, Role.BILLING, Role.MEMBER, Role.VIEWER)
MANAGERS = (Role.OWNER, Role.ADMIN)

PAGE_ROLES: dict[str, tuple[Role, ...]] = {
    "overview": ALL,
    "usage": ALL,
    "gpus": ALL,
    "storage": ALL,
    "reservations": ALL,
    "costs": (*MANAGERS, Role.BILLING),
    "quotas": ALL,
    "invoices": (*MANAGERS, Role.BILLING),
    "budget": (*MANAGERS, Role.BILLING),
    "keys": ALL,
    "webhooks": MANAGERS,
    "members": MANAGERS,
    "activity": MANAGERS,
    "exports": MANAGERS,
    "notices": ALL,
    "settings": ALL,
    "monitoring": (*MANAGERS, Role.BILLING),
}
"""Who may open which page. Below admin, people see their own keys there, a member their own usage; pages narrow it down."""


@dataclass(frozen=True)
class NavGroup:
    """Links that belong together."""

    label: str
    items: list[NavItem]


@dataclass(frozen=True)
class Shell:
    """What base_portal.html needs around the content."""

    tenant: Tenant
    role_label: str
    home_url: str
    others: list[Tenant]
    nav: list[NavGroup]
    held_back: list[HeldBack] = field(default_factory=list)
    visit: Visit | None = None

    @property
    def initial(self) -> str:
        return self.tenant.name[:1].upper()


def build(access: Access, visit: Visit | None = None) -> Shell:
    """The Shell for a reader; one query: what is held back. A visitor can switch to no other tenant."""
    tenant = access.tenant
    return Shell(
        tenant,
        str(access.role.label),
        reverse("web:overview", args=[tenant.slug]),
        list(access.others),
        navigation(access.role, tenant.slug),
        held_back.of(access, timezone.now()),
        visit,
    )


def navigation(role: Role, slug: str) -> list[NavGroup]:
    """The pages that a role may open, in groups."""
    watch = [("monitoring", _("Monitoring"))] if settings.GRAFANA_TENANT_URL else []
    groups = [
        (
            "",
            [
                ("overview", _("Overview")),
                ("usage", _("Usage")),
                ("gpus", _("GPUs")),
                ("reservations", _("Reservations")),
                ("storage", _("Storage")),
                ("quotas", _("Quotas & limits")),
                *watch,
            ],
        ),
        (_("Billing"), [("costs", _("Costs")), ("invoices", _("Invoices")), ("budget", _("Budgets & alerts"))]),
        (
            _("Access"),
            [
                ("keys", _("API keys")),
                ("webhooks", _("Webhooks")),
                ("members", _("Members")),
                ("activity", _("Activity")),
                ("exports", _("Downloads")),
                ("settings", _("Settings")),
            ],
        ),
    ]
    built = [
        NavGroup(
            label,
            [
                NavItem(key, text, reverse(f"web:{key}", args=[slug]), key)
                for key, text in pages
                if role in PAGE_ROLES[key]
            ],
        )
        for label, pages in groups
    ]
    return [group for group in built if group.items]
