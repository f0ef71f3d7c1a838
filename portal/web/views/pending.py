"""Pages whose read models are being built."""

from __future__ import annotations

from django.http import HttpRequest

from tenants.access import Access

from ..pages import Page, tenant_page


@tenant_page("overview")
def index(request: HttpRequest, access: Access) -> Page:
    return Page("portal/pending.html")
