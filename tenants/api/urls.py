"""Routes of tenants, limits, keys and people."""

from __future__ import annotations

from django.urls import path

from .api_keys import ApiKeyRotationView, ApiKeysView, ApiKeyView
from .me import MeView
from .people import AuditView, MembersView
from .rate_limits import RateLimitsView, RateLimitView
from .tenants import OneTenantView, TenantsView

urlpatterns = [
    path("me", MeView.as_view(), name="me"),
    path("tenants", TenantsView.as_view(), name="tenants"),
    path("tenants/<str:slug>", OneTenantView.as_view(), name="tenant"),
    path("tenants/<str:slug>/rate-limits", RateLimitsView.as_view(), name="rate-limits"),
    path("tenants/<str:slug>/rate-limits/<str:window>", RateLimitView.as_view(), name="rate-limit"),
    path("tenants/<str:slug>/api-keys", ApiKeysView.as_view(), name="api-keys"),
    path("tenants/<str:slug>/api-keys/<str:key_id>", ApiKeyView.as_view(), name="api-key"),
    path("tenants/<str:slug>/api-keys/<str:key_id>/rotate", ApiKeyRotationView.as_view(), name="api-key-rotation"),
    path("tenants/<str:slug>/members", MembersView.as_view(), name="members"),
    path("tenants/<str:slug>/audit", AuditView.as_view(), name="audit"),
]
