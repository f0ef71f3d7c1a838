"""The REST API, version 1."""

from __future__ import annotations

from django.urls import include, path, re_path

from . import alerts, collectors, errors, schema

app_name = "api"

urlpatterns = [
    path("", include("tenants.api.urls")),
    path("", include("metering.api.urls")),
    path("alerts", alerts.receive, name="alerts"),
    path("collectors/<str:node>/context", collectors.context, name="collector-context"),
    path("collectors/<str:node>/<str:name>/reports", collectors.reports, name="collector-reports"),
    path("openapi.json", schema.openapi_json, name="openapi"),
    path("schema", schema.openapi_yaml, name="schema"),
    path("docs", schema.docs, name="docs"),
    re_path(r"^(?P<path>.*)$", errors.unknown_url, name="unknown"),
]
