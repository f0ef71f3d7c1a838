"""GPUs as operators see them: the list of metering.admin, with the fleet and what lies idle."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.urls import URLPattern, path

from metering.admin.records import GpuDeviceAdmin
from metering.models import GpuDevice

from .gpu_pages import fleet_page, idle_page, notify_page


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


admin.site.unregister(GpuDevice)
admin.site.register(GpuDevice, GpuPages)
