"""The tenant's audit trail."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpRequest

from tenants.access import Access

from ..frame.pages import Page, tenant_page
from . import entries

PER_PAGE = 50


@tenant_page("activity")
def index(request: HttpRequest, access: Access) -> Page:
    """GET: every change of the tenant, newest first."""
    page = Paginator(entries.of(access.tenant), PER_PAGE).get_page(request.GET.get("page"))
    return Page("portal/trail/activity.html", {"days": entries.by_day(page, access.tenant), "page_obj": page})
