"""A tenant as operators see it: tenants' own page with month cost, quotas, budgets and a page of costs."""

from __future__ import annotations

from django.contrib import admin

from tenants.admin.tenant import TenantAdmin
from tenants.models import Tenant

admin.site.register(Tenant, TenantAdmin)
