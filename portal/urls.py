"""Every URL of the web process, by door."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path, re_path

from portal import grafana_access, health
from portal.api import errors

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
    path("metrics/business", health.business_metrics, name="business-metrics"),
    path("grafana-auth/tenant", grafana_access.tenant, name="grafana-auth-tenant"),
    path("grafana-auth/operator", grafana_access.operator, name="grafana-auth-operator"),
    path("api/v1/", include("portal.api.urls")),
    re_path(r"^api(?:/(?P<path>.*))?$", errors.unknown_url),
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("", include("portal.web.urls")),
]

handler400 = errors.bad_request
handler500 = errors.server_error
