"""Routes of usage, quotas, costs, budgets and events."""

from __future__ import annotations

from django.urls import path

from .events import EventsView

urlpatterns = [
    path("events", EventsView.as_view(), name="events"),
]
