"""Grafana panels on the operators' pages: which panel stands where, and its address.

Operators look through a Grafana of their own (`GRAFANA_OPERATOR_URL`); tenants have another one, behind the portal's own check.
Where no Grafana is configured a slot has no address, and its page shows the portal's own chart of the same numbers, and says so.
The browser loads a panel as a frame after the page: a slow or dead Grafana never slows the page.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlencode

from django.conf import settings
from django.utils.translation import gettext_lazy as _


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
TENANT_DASHBOARD = "tenant"
TENANT_PANELS = {
    1: _("API calls"), 2: _("Quotas used"), 3: _("Cost this month"), 4: _("Cost by category"), 5: _("Cost projection"),
    6: _("Budget spent"), 7: _("GPU hours by model"), 8: _("GPUs held now"),
}  # fmt: skip
"""The panels of the tenants' dashboard, by number."""
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


@dataclass(frozen=True)
class Frame:
    """A panel as a page shows it. The page's script adds `theme`."""

    title: str
    url: str


def tenant_panels(*, since: str = "now-30d", until: str = "now") -> list[Frame]:
    """The tenants' panels; none where no tenants' Grafana is configured.

    No address names a tenant: whose numbers they show is decided for each request by portal.grafana_access, never by the address.
    """
    if not settings.GRAFANA_TENANT_URL:
        return []
    base = f"{settings.GRAFANA_TENANT_URL}/d-solo/{TENANT_DASHBOARD}/{TENANT_DASHBOARD}"
    return [
        Frame(
            str(title),
            f"{base}?{urlencode({'orgId': '1', 'panelId': str(number), 'from': since, 'to': until, 'refresh': REFRESH})}",
        )
        for number, title in TENANT_PANELS.items()
    ]


def tenant_health() -> str:
    """What the reader's browser asks to know whether panels would come: it goes the way that they go, rights included."""
    return f"{settings.GRAFANA_TENANT_URL}/api/health"
