"""Pages of the tenants' portal."""

from __future__ import annotations

from django.urls import include, path, register_converter

from .views import (
    activity,
    budget,
    costs,
    exports,
    gpus,
    home,
    invitations,
    invoices,
    keys,
    members,
    monitoring,
    notices,
    overview,
    quota_requests,
    quotas,
    reservations,
    sessions,
    storage,
    styleguide,
    tenant_settings,
    usage,
    visit,
    webhooks,
)


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
    path("", overview.index, name="overview"),
    path("first-steps/hide", overview.hide_steps, name="first-steps-hide"),
    path("usage", usage.index, name="usage"),
    path("costs", costs.index, name="costs"),
    path("costs/explorer", costs.explore, name="cost-explorer"),
    path("costs/focus.csv", costs.focus, name="focus"),
    path("invoices", invoices.index, name="invoices"),
    path("invoices/running", invoices.running, name="invoice-running"),
    path("invoices/<uuid:invoice_id>", invoices.detail, name="invoice"),
    path("invoices/<uuid:invoice_id>/lines/<row:position>", invoices.line, name="invoice-line"),
    path("invoices/<uuid:invoice_id>/document.<slug:kind>", invoices.download, name="invoice-document"),
    path(
        "invoices/<uuid:invoice_id>/credit-notes/<uuid:note_id>/document.<slug:kind>",
        invoices.download_note,
        name="credit-note-document",
    ),
    path("gpus", gpus.index, name="gpus"),
    path("storage", storage.index, name="storage"),
    path("reservations", reservations.index, name="reservations"),
    path("reservations/<uuid:reservation_id>/release", reservations.release, name="reservation-release"),
    path("quotas", quotas.index, name="quotas"),
    path("quotas/request", quota_requests.ask, name="quota-request"),
    path("quotas/requests/<uuid:request_id>/withdraw", quota_requests.withdraw, name="quota-withdraw"),
    path("budget", budget.index, name="budget"),
    path("budget/new", budget.create, name="budget-create"),
    path("budget/<uuid:budget_id>", budget.edit, name="budget-edit"),
    path("budget/<uuid:budget_id>/mute", budget.mute, name="budget-mute"),
    path("budget/<uuid:budget_id>/end", budget.end, name="budget-end"),
    path("budget/alerts/<row:alert_id>/acknowledge", budget.acknowledge, name="budget-acknowledge"),
    path("webhooks", webhooks.index, name="webhooks"),
    path("webhooks/new", webhooks.create, name="webhook-create"),
    path("webhooks/<uuid:endpoint_id>", webhooks.detail, name="webhook"),
    path("webhooks/<uuid:endpoint_id>/edit", webhooks.edit, name="webhook-edit"),
    path("webhooks/<uuid:endpoint_id>/rotate", webhooks.rotate, name="webhook-rotate"),
    path("webhooks/<uuid:endpoint_id>/remove", webhooks.remove, name="webhook-remove"),
    path("webhooks/<uuid:endpoint_id>/test", webhooks.test, name="webhook-test"),
    path(
        "webhooks/<uuid:endpoint_id>/deliveries/<uuid:delivery_id>/redeliver",
        webhooks.redeliver,
        name="webhook-redeliver",
    ),
    path("keys", keys.index, name="keys"),
    path("keys/new", keys.create, name="key-create"),
    path("keys/<slug:key_id>/rotate", keys.rotate, name="key-rotate"),
    path("keys/<slug:key_id>/revoke", keys.revoke, name="key-revoke"),
    path("members", members.index, name="members"),
    path("members/new", members.add, name="member-add"),
    path("members/<row:member_id>/role", members.role, name="member-role"),
    path("members/<row:member_id>/remove", members.remove, name="member-remove"),
    path("invitations/<uuid:invitation_id>/resend", invitations.resend, name="invitation-resend"),
    path("invitations/<uuid:invitation_id>/withdraw", invitations.withdraw, name="invitation-withdraw"),
    path("activity", activity.index, name="activity"),
    path("notifications", notices.index, name="notices"),
    path("notifications/count", notices.count, name="notice-count"),
    path("notifications/read", notices.read, name="notices-read"),
    path("notifications/choose", notices.choose, name="notices-choose"),
    path("downloads", exports.index, name="exports"),
    path("downloads/<uuid:export_id>/file", exports.download, name="export-file"),
    path("settings", tenant_settings.index, name="settings"),
    path("monitoring", monitoring.index, name="monitoring"),
]

app_name = "web"
urlpatterns = [
    path("", home.index, name="home"),
    path("theme", home.theme, name="theme"),
    path("display", home.numbers, name="display"),
    path("sessions", sessions.index, name="sessions"),
    path("sessions/<row:session_id>/end", sessions.end, name="session-end"),
    path("sessions/others/end", sessions.end_others, name="sessions-end-others"),
    path("invitations/<str:token>", invitations.accept, name="invitation"),
    path("visit/end", visit.end, name="visit-end"),
    path("style-guide", styleguide.styleguide, name="styleguide"),
    path("t/<tenant:slug>/", include(tenant_pages)),
]
