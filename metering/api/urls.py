"""Routes of usage, quotas, costs, budgets and events."""

from __future__ import annotations

from django.urls import path

from .events import EventsView
from .money import BudgetView, CostsView
from .quotas import QuotasView, QuotaView
from .usage import MetersView, UsageView

urlpatterns = [
    path("events", EventsView.as_view(), name="events"),
    path("meters", MetersView.as_view(), name="meters"),
    path("tenants/<str:slug>/quotas", QuotasView.as_view(), name="quotas"),
    path("tenants/<str:slug>/quotas/<str:meter>", QuotaView.as_view(), name="quota"),
    path("tenants/<str:slug>/usage", UsageView.as_view(), name="usage"),
    path("tenants/<str:slug>/costs", CostsView.as_view(), name="costs"),
    path("tenants/<str:slug>/budget", BudgetView.as_view(), name="budget"),
]
