"""Pages of the tenants' portal."""

from __future__ import annotations

from django.urls import include, path, register_converter

from .account import home_page, sessions_page, visit_page
from .downloads import exports_page
from .drawing import styleguide_page
from .gpus import gpus_page, reservations_page
from .integration import keys_page, webhooks_page
from .members import invitations_page, members_page
from .money import budget_page, costs_page, invoices_page
from .notices import notices_page
from .overview import overview_page
from .quotas import quotas_page, requests_page
from .settings import settings_page
from .storage import storage_page
from .trail import activity_page
from .usage import monitoring_page, usage_page


class SlugConverter:
    """What can be a tenant's slug; anything else is not even looked up."""

    regex = "[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class RowConverter:
    """A row number that fits PostgreSQL's bigint."""

    regex = "[0-9]{1,18}"

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)


register_converter(SlugConverter, "tenant")
register_converter(RowConverter, "row")

tenant_pages = [
    path("", overview_page.index, name="overview"),
    path("first-steps/hide", overview_page.hide_steps, name="first-steps-hide"),
    path("usage", usage_page.index, name="usage"),
    path("costs", costs_page.index, name="costs"),
    path("costs/explorer", costs_page.explore, name="cost-explorer"),
    path("costs/focus.csv", costs_page.focus, name="focus"),
    path("invoices", invoices_page.index, name="invoices"),
    path("invoices/running", invoices_page.running, name="invoice-running"),
    path("invoices/<uuid:invoice_id>", invoices_page.detail, name="invoice"),
    path("invoices/<uuid:invoice_id>/lines/<row:position>", invoices_page.line, name="invoice-line"),
    path("invoices/<uuid:invoice_id>/document.<slug:kind>", invoices_page.download, name="invoice-document"),
    path(
        "invoices/<uuid:invoice_id>/credit-notes/<uuid:note_id>/document.<slug:kind>",
        invoices_page.download_note,
        name="credit-note-document",
    ),
    path("gpus", gpus_page.index, name="gpus"),
    path("storage", storage_page.index, name="storage"),
    path("reservations", reservations_page.index, name="reservations"),
    path("reservations/<uuid:reservation_id>/release", reservations_page.release, name="reservation-release"),
    path("quotas", quotas_page.index, name="quotas"),
    path("quotas/request", requests_page.ask, name="quota-request"),
    path("quotas/requests/<uuid:request_id>/withdraw", requests_page.withdraw, name="quota-withdraw"),
    path("budget", budget_page.index, name="budget"),
    path("budget/new", budget_page.create, name="budget-create"),
    path("budget/<uuid:budget_id>", budget_page.edit, name="budget-edit"),
    path("budget/<uuid:budget_id>/mute", budget_page.mute, name="budget-mute"),
    path("budget/<uuid:budget_id>/end", budget_page.end, name="budget-end"),
    path("budget/alerts/<row:alert_id>/acknowledge", budget_page.acknowledge, name="budget-acknowledge"),
    path("webhooks", webhooks_page.index, name="webhooks"),
    path("webhooks/new", webhooks_page.create, name="webhook-create"),
    path("webhooks/<uuid:endpoint_id>", webhooks_page.detail, name="webhook"),
    path("webhooks/<uuid:endpoint_id>/edit", webhooks_page.edit, name="webhook-edit"),
    path("webhooks/<uuid:endpoint_id>/rotate", webhooks_page.rotate, name="webhook-rotate"),
    path("webhooks/<uuid:endpoint_id>/remove", webhooks_page.remove, name="webhook-remove"),
    path("webhooks/<uuid:endpoint_id>/test", webhooks_page.test, name="webhook-test"),
    path(
        "webhooks/<uuid:endpoint_id>/deliveries/<uuid:delivery_id>/redeliver",
        webhooks_page.redeliver,
        name="webhook-redeliver",
    ),
    path("keys", keys_page.index, name="keys"),
    path("keys/new", keys_page.create, name="key-create"),
    path("keys/<slug:key_id>/rotate", keys_page.rotate, name="key-rotate"),
    path("keys/<slug:key_id>/revoke", keys_page.revoke, name="key-revoke"),
    path("members", members_page.index, name="members"),
    path("members/new", members_page.add, name="member-add"),
    path("members/<row:member_id>/role", members_page.role, name="member-role"),
    path("members/<row:member_id>/remove", members_page.remove, name="member-remove"),
    path("invitations/<uuid:invitation_id>/resend", invitations_page.resend, name="invitation-resend"),
    path("invitations/<uuid:invitation_id>/withdraw", invitations_page.withdraw, name="invitation-withdraw"),
    path("activity", activity_page.index, name="activity"),
    path("notifications", notices_page.index, name="notices"),
    path("notifications/count", notices_page.count, name="notice-count"),
    path("notifications/read", notices_page.read, name="notices-read"),
    path("notifications/choose", notices_page.choose, name="notices-choose"),
    path("downloads", exports_page.index, name="exports"),
    path("downloads/<uuid:export_id>/file", exports_page.download, name="export-file"),
    path("settings", settings_page.index, name="settings"),
    path("monitoring", monitoring_page.index, name="monitoring"),
]

app_name = "web"
urlpatterns = [
    path("", home_page.index, name="home"),
    path("theme", home_page.theme, name="theme"),
    path("display", home_page.numbers, name="display"),
    path("sessions", sessions_page.index, name="sessions"),
    path("sessions/<row:session_id>/end", sessions_page.end, name="session-end"),
    path("sessions/others/end", sessions_page.end_others, name="sessions-end-others"),
    path("invitations/<str:token>", invitations_page.accept, name="invitation"),
    path("visit/end", visit_page.end, name="visit-end"),
    path("style-guide", styleguide_page.styleguide, name="styleguide"),
    path("t/<tenant:slug>/", include(tenant_pages)),
]
