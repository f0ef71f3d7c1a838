"""GPUs as operators see them: the lists of metering.admin, with the fleet, what lies idle, and the mapping table out of a file."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from metering.admin.gpu_care import GpuOwnerRuleAdmin
from metering.admin.records import GpuDeviceAdmin
from metering.models import GpuDevice, GpuOwnerRule

from .gpu_pages import fleet_page, idle_page, notify_page
from .import_kinds import KINDS


class GpuPages(GpuDeviceAdmin):
    def get_urls(self) -> list[URLPattern]:
        def page(route: str, view: Any, name: str) -> URLPattern:
            return path(route, self.admin_site.admin_view(view), {"model_admin": self}, name=name)

        return [
            page("fleet/", fleet_page, "metering_gpudevice_fleet"),
            page("idle/", idle_page, "metering_gpudevice_idle"),
            page("<int:device_id>/idle/<slug:slug>/notify/", notify_page, "metering_gpudevice_notify"),
            *super().get_urls(),
        ]


class GpuOwnerRules(GpuOwnerRuleAdmin):
    actions_list = ("import_file",)

    def has_import_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perms(KINDS["gpu_owners"].permissions)

    @action(description=_("Import"), icon="upload", url_path="import-file", permissions=["import"])
    def import_file(self, request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(f"{reverse('admin:tenants_tenant_import')}?kind=gpu_owners")


for model, page in ((GpuDevice, GpuPages), (GpuOwnerRule, GpuOwnerRules)):
    admin.site.unregister(model)
    admin.site.register(model, page)
