"""What django-unfold asks the portal for: colours, the environment's badge, the side bar, the dashboard. Named in settings.UNFOLD."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from portal.admin import dashboard as dashboard_page

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
    """The side bar, by what operators come for."""
    return [
        _group(
            "",
            [
                _page(_("Dashboard"), "dashboard", "admin:index", "tenants.view_tenant"),
                _page(_("Cost per tenant"), "payments", "admin:tenants_tenant_costs", "tenants.view_tenant"),
                _page(_("Cost explorer"), "query_stats", "admin:tenants_tenant_explorer", "tenants.view_tenant"),
                _page(_("Revenue"), "trending_up", "admin:tenants_tenant_revenue", "tenants.view_tenant"),
                _page(_("Usage"), "monitoring", "admin:metering_meter_usage", "metering.view_usagerollup"),
            ],
        ),
        _group(
            _("Tenants"),
            [
                _only(_list(_("Tenants"), "apartment", "tenants", "tenant"), but="admin:tenants_tenant_costs"),
                _list(_("Overrides"), "tune", "tenants", "override"),
                _list(_("Requests for more"), "contact_support", "tenants", "quotarequest"),
                _list(_("Rules for grants"), "rule", "tenants", "grantrule"),
                _list(_("Tiers"), "layers", "tenants", "tier"),
                _list(_("API keys"), "key", "tenants", "apikey"),
                _list(_("Members"), "group", "tenants", "membership"),
                _list(_("Blocks"), "block", "tenants", "tenantblock"),
            ],
        ),
        _group(
            _("Money"),
            [
                _list(_("Budgets"), "savings", "metering", "budget"),
                _list(_("Budget alerts"), "notification_important", "metering", "budgetalert"),
                _list(_("Quota alerts"), "speed", "metering", "quotaalert"),
                _list(_("Unusual days"), "query_stats", "metering", "spendanomaly"),
                _list(_("Price books"), "sell", "metering", "pricebook"),
                _list(_("Tenants' own books"), "handshake", "metering", "tenantpricebook"),
            ],
        ),
        _group(
            _("Invoices"),
            [
                _page(_("Close a month"), "event_available", "admin:metering_invoice_close", "metering.view_invoice"),
                _only(_list(_("Invoices"), "receipt_long", "metering", "invoice"), but="admin:metering_invoice_close"),
                _list(_("Credit notes"), "undo", "metering", "creditnote"),
                _list(_("Billing profiles"), "badge", "metering", "billingprofile"),
                _list(_("Legal entities"), "account_balance", "metering", "legalentity"),
                _list(_("Tax rules"), "percent", "metering", "taxrate"),
            ],
        ),
        _group(
            _("Metering"),
            [
                _list(_("Collectors"), "sensors", "metering", "collectorstatus"),
                _list(_("Gaps"), "pause_presentation", "metering", "meteringgap"),
                _list(_("Gaps on bills"), "gavel", "metering", "gapshare"),
                _list(_("Quarantine"), "report", "metering", "quarantinedevent"),
                _list(_("Unknown usage"), "help_center", "metering", "unknownusage"),
                _page(_("Fleet"), "dns", "admin:metering_gpudevice_fleet", "metering.view_gpudevice"),
                _page(_("Idle GPUs"), "hourglass_empty", "admin:metering_gpudevice_idle", "metering.view_gpudevice"),
                _only(
                    _list(_("GPUs"), "memory", "metering", "gpudevice"),
                    but=("admin:metering_gpudevice_fleet", "admin:metering_gpudevice_idle"),
                ),
                _list(_("GPU owner rules"), "rule", "metering", "gpuownerrule"),
                _list(_("Idle release rules"), "timer_off", "metering", "idlereleaserule"),
                _list(_("Reservations"), "event_seat", "metering", "reservation"),
                _list(_("Unattributed GPU time"), "help", "metering", "unattributedgputime"),
                _only(_list(_("Meters"), "straighten", "metering", "meter"), but="admin:metering_meter_usage"),
            ],
        ),
        _group(
            _("Operations"),
            [
                _list(_("Monitoring alerts"), "notifications_active", "metering", "monitoringalert"),
                _list(_("Job runs"), "event_repeat", "metering", "jobrun"),
                _list(_("Notifications"), "mail", "metering", "notification"),
                _list(_("Webhooks"), "webhook", "metering", "webhookendpoint"),
                _list(_("Webhook deliveries"), "outbox", "metering", "webhookdelivery"),
                _list(_("Schedules"), "schedule", "django_celery_beat", "periodictask"),
            ],
        ),
        _group(
            _("Access"),
            [
                _list(_("Audit trail"), "history", "tenants", "auditentry"),
                _list(_("Visits"), "visibility", "tenants", "visit"),
                _list(_("People"), "person", "tenants", "user"),
                _list(_("Groups"), "shield_person", "auth", "group"),
                _list(_("Operator tokens"), "vpn_key", "tenants", "operatortoken"),
            ],
        ),
    ]


def _group(title: Any, items: list[Item]) -> Item:
    return {"title": title, "separator": bool(title), "collapsible": False, "items": items}


def _list(title: Any, icon: str, app: str, model: str) -> Item:
    return _page(title, icon, f"admin:{app}_{model}_changelist", f"{app}.view_{model}")


def _page(title: Any, icon: str, name: str, permission: str) -> Item:
    return {"title": title, "icon": icon, "link": reverse(name), "permission": _may(permission)}


def _only(item: Item, *, but: str | tuple[str, ...]) -> Item:
    """Marked on its own pages, not on `but`, which lies below its address and has an entry of its own."""
    others = {reverse(name) for name in ((but,) if isinstance(but, str) else but)}
    return {**item, "active": lambda request: request.path.startswith(item["link"]) and request.path not in others}


def _may(permission: str) -> Callable[[HttpRequest], bool]:
    return lambda request: request.user.has_perm(permission)
