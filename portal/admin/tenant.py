from django.contrib import admin
from tenants.admin.tenant import TenantAdmin
from tenants.models import Tenant
admin.site.register(Tenant, TenantAdmin)
