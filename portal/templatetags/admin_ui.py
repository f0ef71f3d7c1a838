"""Template tags of the operators' admin: charts, Grafana slots, shares."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.translation import gettext as _

from portal import grafana
from portal.web.drawing import components
from portal.web.drawing.charts import Chart

register = template.Library()
_DIGEST = re.compile(r"(?:sha256:)?[0-9a-fA-F]{32,128}")
DIGEST_SHOWN = 8


@register.inclusion_tag("admin/portal/_chart.html")
def admin_chart(chart: Chart, tall: bool = False) -> dict[str, Any]:
    """A chart with the same numbers as a table behind it."""
    return {"chart": chart, "tall": tall}


@register.inclusion_tag("admin/portal/_slot.html")
def grafana_slot(
    name: str, title: str, chart: Chart | None = None, tenant: str = "", since: str = "now-30d"
) -> dict[str, Any]:
    """A Grafana panel where an operators' Grafana is configured; else the portal's own chart of the same numbers, with a note."""
    return {"url": grafana.operator_panel_url(name, tenant=tenant, since=since), "title": title, "chart": chart}


@register.inclusion_tag("admin/portal/_share.html")
def share(percent: Decimal | None, label: str = "") -> dict[str, Any]:
    """A bar with its percentage, coloured from 80 and 100 on; 'unlimited' without a limit."""
    width = None if percent is None else min(max(percent, Decimal(0)), Decimal(100))
    return {"percent": percent, "width": width, "tone": components.tone(percent), "label": label}


@register.filter
def digest(value: Any, most: int | None = None) -> str:
    """A value of a row as text, of at most `most` characters; of a hash its beginning, and all of it for who opens it."""
    text = str(value)
    if _DIGEST.fullmatch(text):
        start = text[: text.find(":") + 1 + DIGEST_SHOWN]
        return format_html(
            '<details class="pa-hash pa-mono"><summary>{}…<span class="sr-only"> {}</span></summary><span>{}</span></details>',
            start,
            _("show all of it"),
            text,
        )
    return text if most is None or len(text) <= most else f"{text[: most - 1]}…"


@register.simple_tag
def tab_address(tab: Any, tenant: Any) -> str:
    """Where the content of a tab is (`portal.admin.tenant_tabs.LaterTab`)."""
    return str(tab.address(tenant))
