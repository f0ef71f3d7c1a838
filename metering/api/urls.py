"""Routes of usage, quotas, costs, budgets and events."""

from __future__ import annotations

from django.urls import path

from .anomalies import AnomaliesView, PlatformAnomaliesView
from .budgets import BudgetAcknowledgeView, BudgetDetailView, BudgetMuteView, BudgetsView
from .events import EventsView
from .finance import ForecastView, PlatformCostsView, PlatformFocusView, RevenueView, TenantFocusView
from .gpus import FleetView, GpusView
from .invoices import (
    CreditNoteDocumentView,
    CreditNotesView,
    InvoiceDocumentView,
    InvoiceLineView,
    InvoicesView,
    InvoiceView,
    PaymentsView,
    VoidView,
)
from .money import BudgetView, CostsView
from .price_books import DryRunView, PriceBooksView, PublishView, VersionsView, VersionView, WithdrawView
from .quota_requests import QuotaApproveView, QuotaDenyView, QuotaRequestsView, QuotaRequestView
from .quotas import QuotasView, QuotaView
from .readings import ReadingsView
from .reservations import (
    CancelView,
    EstimatesView,
    ExtendView,
    HeartbeatView,
    ReservationsView,
    ReservationView,
    SettleView,
)
from .usage import MetersView, UsageView
from .webhooks import (
    DeliveriesView,
    RedeliverView,
    WebhookRotateView,
    WebhooksView,
    WebhookTestView,
    WebhookView,
)

urlpatterns = [
    path("events", EventsView.as_view(), name="events"),
    path("estimates", EstimatesView.as_view(), name="estimates"),
    path("fleet", FleetView.as_view(), name="fleet"),
    path("tenants/<str:slug>/gpus", GpusView.as_view(), name="gpus"),
    path("reservations", ReservationsView.as_view(), name="reservations"),
    path("reservations/<str:id>", ReservationView.as_view(), name="reservation"),
    path("reservations/<str:id>/heartbeat", HeartbeatView.as_view(), name="reservation-heartbeat"),
    path("reservations/<str:id>/extend", ExtendView.as_view(), name="reservation-extend"),
    path("reservations/<str:id>/settle", SettleView.as_view(), name="reservation-settle"),
    path("reservations/<str:id>/cancel", CancelView.as_view(), name="reservation-cancel"),
    path("meters", MetersView.as_view(), name="meters"),
    path("price-books", PriceBooksView.as_view(), name="price-books"),
    path("price-books/<str:book>/versions", VersionsView.as_view(), name="price-versions"),
    path("price-books/<str:book>/versions/<str:number>", VersionView.as_view(), name="price-version"),
    path("price-books/<str:book>/versions/<str:number>/dry-run", DryRunView.as_view(), name="price-dry-run"),
    path("price-books/<str:book>/versions/<str:number>/publish", PublishView.as_view(), name="price-publish"),
    path("price-books/<str:book>/versions/<str:number>/withdraw", WithdrawView.as_view(), name="price-withdraw"),
    path("tenants/<str:slug>/quotas", QuotasView.as_view(), name="quotas"),
    path("tenants/<str:slug>/quotas/<str:meter>", QuotaView.as_view(), name="quota"),
    path("tenants/<str:slug>/quota-requests", QuotaRequestsView.as_view(), name="quota-requests"),
    path("tenants/<str:slug>/quota-requests/<str:request_id>", QuotaRequestView.as_view(), name="quota-request"),
    path(
        "tenants/<str:slug>/quota-requests/<str:request_id>/approve", QuotaApproveView.as_view(), name="quota-approve"
    ),
    path("tenants/<str:slug>/quota-requests/<str:request_id>/deny", QuotaDenyView.as_view(), name="quota-deny"),
    path("tenants/<str:slug>/usage", UsageView.as_view(), name="usage"),
    path("tenants/<str:slug>/costs", CostsView.as_view(), name="costs"),
    path("tenants/<str:slug>/forecast", ForecastView.as_view(), name="forecast"),
    path("tenants/<str:slug>/focus", TenantFocusView.as_view(), name="focus"),
    path("tenants/<str:slug>/anomalies", AnomaliesView.as_view(), name="anomalies"),
    path("anomalies", PlatformAnomaliesView.as_view(), name="platform-anomalies"),
    path("costs", PlatformCostsView.as_view(), name="platform-costs"),
    path("revenue", RevenueView.as_view(), name="revenue"),
    path("focus", PlatformFocusView.as_view(), name="platform-focus"),
    path("tenants/<str:slug>/budget", BudgetView.as_view(), name="budget"),
    path("tenants/<str:slug>/budgets", BudgetsView.as_view(), name="budgets"),
    path("tenants/<str:slug>/budgets/<str:budget_id>", BudgetDetailView.as_view(), name="budget-detail"),
    path("tenants/<str:slug>/budgets/<str:budget_id>/mute", BudgetMuteView.as_view(), name="budget-mute"),
    path(
        "tenants/<str:slug>/budgets/<str:budget_id>/acknowledge",
        BudgetAcknowledgeView.as_view(),
        name="budget-acknowledge",
    ),
    path("tenants/<str:slug>/webhooks", WebhooksView.as_view(), name="webhooks"),
    path("tenants/<str:slug>/webhooks/<str:webhook_id>", WebhookView.as_view(), name="webhook"),
    path("tenants/<str:slug>/webhooks/<str:webhook_id>/rotate", WebhookRotateView.as_view(), name="webhook-rotate"),
    path("tenants/<str:slug>/webhooks/<str:webhook_id>/test", WebhookTestView.as_view(), name="webhook-test"),
    path("tenants/<str:slug>/webhooks/<str:webhook_id>/deliveries", DeliveriesView.as_view(), name="deliveries"),
    path(
        "tenants/<str:slug>/webhooks/<str:webhook_id>/deliveries/<str:delivery_id>/redeliver",
        RedeliverView.as_view(),
        name="redeliver",
    ),
    path("tenants/<str:slug>/readings", ReadingsView.as_view(), name="readings"),
    path("tenants/<str:slug>/invoices", InvoicesView.as_view(), name="invoices"),
    path("tenants/<str:slug>/invoices/<str:invoice_id>", InvoiceView.as_view(), name="invoice"),
    path(
        "tenants/<str:slug>/invoices/<str:invoice_id>/lines/<int:position>",
        InvoiceLineView.as_view(),
        name="invoice-line",
    ),
    path(
        "tenants/<str:slug>/invoices/<str:invoice_id>/document.<str:kind>",
        InvoiceDocumentView.as_view(),
        name="invoice-document",
    ),
    path("tenants/<str:slug>/invoices/<str:invoice_id>/credit-notes", CreditNotesView.as_view(), name="credit-notes"),
    path(
        "tenants/<str:slug>/invoices/<str:invoice_id>/credit-notes/<str:note_id>/document.<str:kind>",
        CreditNoteDocumentView.as_view(),
        name="credit-note-document",
    ),
    path("tenants/<str:slug>/invoices/<str:invoice_id>/payments", PaymentsView.as_view(), name="payments"),
    path("tenants/<str:slug>/invoices/<str:invoice_id>/void", VoidView.as_view(), name="invoice-void"),
]
