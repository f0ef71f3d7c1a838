"""The rooms of the admin's side bar, by what operators come for, and what stands in each."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.utils.translation import gettext_lazy as _


class Entry(NamedTuple):
    """A line of the side bar; seen by whoever has the permission. It is not marked on the pages `but`, which have lines of their own."""

    title: Any
    icon: str
    url: str
    permission: str
    but: tuple[str, ...] = ()


class Room(NamedTuple):
    """Lines under one title; the first room has none."""

    title: Any
    entries: tuple[Entry, ...]


def _rows(title: Any, icon: str, app: str, model: str, *but: str) -> Entry:
    """A model's list, for whoever may see its rows."""
    return Entry(title, icon, f"admin:{app}_{model}_changelist", f"{app}.view_{model}", but)


OVERVIEW = Room(
    "",
    (
        Entry(_("Dashboard"), "dashboard", "admin:index", "tenants.view_tenant"),
        Entry(_("Cost per tenant"), "payments", "admin:tenants_tenant_costs", "tenants.view_tenant"),
        Entry(_("Cost explorer"), "query_stats", "admin:tenants_tenant_explorer", "tenants.view_tenant"),
        Entry(_("Revenue"), "trending_up", "admin:tenants_tenant_revenue", "tenants.view_tenant"),
        Entry(_("Usage"), "monitoring", "admin:metering_meter_usage", "metering.view_usagerollup"),
    ),
)
TENANTS = Room(
    _("Tenants"),
    (
        _rows(
            _("Tenants"),
            "apartment",
            "tenants",
            "tenant",
            "admin:tenants_tenant_costs",
            "admin:tenants_tenant_explorer",
            "admin:tenants_tenant_revenue",
            "admin:tenants_tenant_import",
        ),
        Entry(_("Import"), "upload", "admin:tenants_tenant_import", "tenants.change_tenant"),
        _rows(_("Overrides"), "tune", "tenants", "override"),
        _rows(_("Requests for more"), "contact_support", "tenants", "quotarequest"),
        _rows(_("Rules for grants"), "rule", "tenants", "grantrule"),
        _rows(_("Tiers"), "layers", "tenants", "tier"),
        _rows(_("API keys"), "key", "tenants", "apikey"),
        _rows(_("Members"), "group", "tenants", "membership"),
        _rows(_("Blocks"), "block", "tenants", "tenantblock"),
    ),
)
MONEY = Room(
    _("Money"),
    (
        _rows(_("Budgets"), "savings", "metering", "budget"),
        _rows(_("Budget alerts"), "notification_important", "metering", "budgetalert"),
        _rows(_("Quota alerts"), "speed", "metering", "quotaalert"),
        _rows(_("Unusual days"), "query_stats", "metering", "spendanomaly"),
        _rows(_("Price books"), "sell", "metering", "pricebook"),
        _rows(_("Tenants' own books"), "handshake", "metering", "tenantpricebook"),
    ),
)
INVOICES = Room(
    _("Invoices"),
    (
        Entry(_("Close a month"), "event_available", "admin:metering_invoice_close", "metering.view_invoice"),
        _rows(_("Invoices"), "receipt_long", "metering", "invoice", "admin:metering_invoice_close"),
        _rows(_("Credit notes"), "undo", "metering", "creditnote"),
        _rows(_("Billing profiles"), "badge", "metering", "billingprofile"),
        _rows(_("Legal entities"), "account_balance", "metering", "legalentity"),
        _rows(_("Tax rules"), "percent", "metering", "taxrate"),
    ),
)
METERING = Room(
    _("Metering"),
    (
        _rows(_("Collectors"), "sensors", "metering", "collectorstatus"),
        _rows(_("Gaps"), "pause_presentation", "metering", "meteringgap"),
        _rows(_("Gaps on bills"), "gavel", "metering", "gapshare"),
        _rows(_("Quarantine"), "report", "metering", "quarantinedevent"),
        _rows(_("Unknown usage"), "help_center", "metering", "unknownusage"),
        Entry(_("Fleet"), "dns", "admin:metering_gpudevice_fleet", "metering.view_gpudevice"),
        Entry(_("Idle GPUs"), "hourglass_empty", "admin:metering_gpudevice_idle", "metering.view_gpudevice"),
        _rows(
            _("GPUs"),
            "memory",
            "metering",
            "gpudevice",
            "admin:metering_gpudevice_fleet",
            "admin:metering_gpudevice_idle",
        ),
        _rows(_("GPU owner rules"), "rule", "metering", "gpuownerrule"),
        _rows(_("Idle release rules"), "timer_off", "metering", "idlereleaserule"),
        _rows(_("Reservations"), "event_seat", "metering", "reservation"),
        _rows(_("Unattributed GPU time"), "help", "metering", "unattributedgputime"),
        _rows(_("Meters"), "straighten", "metering", "meter", "admin:metering_meter_usage"),
    ),
)
OPERATIONS = Room(
    _("Operations"),
    (
        _rows(_("Monitoring alerts"), "notifications_active", "metering", "monitoringalert"),
        _rows(_("Job runs"), "event_repeat", "metering", "jobrun"),
        _rows(_("Notifications"), "mail", "metering", "notification"),
        _rows(_("Webhooks"), "webhook", "metering", "webhookendpoint"),
        _rows(_("Webhook deliveries"), "outbox", "metering", "webhookdelivery"),
        _rows(_("Schedules"), "schedule", "django_celery_beat", "periodictask"),
    ),
)
ACCESS = Room(
    _("Access"),
    (
        _rows(_("Audit trail"), "history", "tenants", "auditentry"),
        _rows(_("Visits"), "visibility", "tenants", "visit"),
        _rows(_("People"), "person", "tenants", "user"),
        _rows(_("Groups"), "shield_person", "auth", "group"),
        _rows(_("Operator tokens"), "vpn_key", "tenants", "operatortoken"),
    ),
)

ROOMS = (OVERVIEW, TENANTS, MONEY, INVOICES, METERING, OPERATIONS, ACCESS)
