"""The REST API, version 1."""

from __future__ import annotations

from django.urls import include, path, re_path

from . import errors

app_name = "api"

urlpatterns = [
    path("", include("tenants.api.urls")),
    re_path(r"^(?P<path>.*)$", errors.unknown_url, name="unknown"),
]
