"""Grafana panels on the operators' pages: which panel stands where, and its address.

Operators look through a Grafana of their own (`GRAFANA_OPERATOR_URL`); tenants have another one, behind the portal's own check.
Where no Grafana is configured a slot has no address, and its page shows the portal's own chart of the same numbers, and says so.
The browser loads a panel as a frame after the page: a slow or dead Grafana never slows the page.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlencode

from django.conf import settings


@dataclass(frozen=True)
class Panel:
    """A panel of a provisioned dashboard: `dashboard` is its uid and file name, `number` the panel's id in it."""

    dashboard: str
    number: int


OPERATOR_PANELS = {
    "request-rate": Panel("api-performance", 1),
    "queue-depth": Panel("job-queues", 7),
    "gpu-utilization": Panel("gpu-costs", 1),
    "cost-by-tenant": Panel("gpu-costs", 10),
    "cost-projection": Panel("gpu-costs", 11),
    "quota-usage": Panel("gpu-costs", 12),
    "gpu-hours-by-model": Panel("gpu-costs", 13),
}
REFRESH = "30s"


def operator_panel_url(name: str, *, tenant: str = "", since: str = "now-30d", until: str = "now") -> str:
    """The frame's address of a panel, '' where no operators' Grafana is configured. The page's script adds `theme`.

    `tenant` is a slug for dashboards with that variable; `since` and `until` are Grafana times (now-30d, or epoch milliseconds).
    Raises KeyError for an unknown panel.
    """
    panel = OPERATOR_PANELS[name]
    if not settings.GRAFANA_OPERATOR_URL:
        return ""
    query = {"orgId": "1", "panelId": str(panel.number), "from": since, "to": until, "refresh": REFRESH}
    if tenant:
        query["var-tenant"] = tenant
    uid = quote(panel.dashboard)
    return f"{settings.GRAFANA_OPERATOR_URL}/d-solo/{uid}/{uid}?{urlencode(query)}"
