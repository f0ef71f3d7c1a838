"""The tenant's own Grafana panels, in the portal's theme and the chosen range."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from portal import grafana, grafana_access
from tenants.access import Access

from ..frame.pages import Page, tenant_page

SPANS = {"6h": "6 hours", "24h": "24 hours", "7d": "7 days", "30d": "30 days"}


@tenant_page("monitoring")
def _page(request: HttpRequest, access: Access) -> Page:
    span = request.GET.get("range", "")
    span = span if span in SPANS else "7d"
    here = reverse("web:monitoring", args=[access.tenant.slug])
    return Page(
        "portal/usage/monitoring.html",
        {
            "panels": grafana.tenant_panels(since=f"now-{span}"),
            "health": grafana.tenant_health(),
            "spans": [
                {"label": label, "url": f"{here}?range={key}", "current": key == span} for key, label in SPANS.items()
            ],
        },
    )


def index(request: HttpRequest, slug: str) -> HttpResponse:
    """GET: the panels. The cookie tells the frames which of the reader's tenants this page is about."""
    response = _page(request, slug)
    if response.status_code == 200 and settings.GRAFANA_TENANT_URL:
        response.set_cookie(
            grafana_access.TENANT_COOKIE,
            slug,
            path=settings.GRAFANA_TENANT_URL + "/",
            httponly=True,
            samesite="Strict",
            secure=settings.SESSION_COOKIE_SECURE,
        )
    return response
