"""The few Grafana shapes that the dashboards need, as functions that return its JSON. Grafana 11 and 12 read them alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

PROMETHEUS: Json = {"type": "prometheus", "uid": "prometheus"}
TENANTS_PROMETHEUS: Json = {"type": "prometheus", "uid": "tenant-prometheus"}
SCHEMA_VERSION = 41
REFRESH = "30s"
WIDTH = 24

GREEN, YELLOW, ORANGE, RED, BLUE = "green", "#EAB839", "orange", "red", "blue"


@dataclass(frozen=True)
class Query:
    """One PromQL expression; `legend` is Grafana's template, `instant` for single numbers, tables and pies."""

    expr: str
    legend: str = ""
    instant: bool = False
    ref: str = "A"


@dataclass(frozen=True)
class Panel:
    """A panel. `steps` are thresholds (value, colour) above the first colour; `runbook` is an alert's name."""

    id: int
    title: str
    kind: str
    description: str
    queries: Sequence[Query]
    unit: str
    width: int = 8
    height: int = 8
    steps: Sequence[tuple[float, str]] = ()
    base: str = GREEN
    minimum: float | None = None
    maximum: float | None = None
    decimals: int | None = None
    runbook: str = ""
    traces: str = ""
    options: Json = field(default_factory=dict)
    custom: Json = field(default_factory=dict)
    transformations: Sequence[Json] = ()
    overrides: Sequence[Json] = ()


_OPTIONS: dict[str, Json] = {
    "timeseries": {
        "legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["lastNotNull", "max"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "colorMode": "value", "graphMode": "area", "justifyMode": "auto", "textMode": "auto", "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    },
    "gauge": {
        "showThresholdLabels": False, "showThresholdMarkers": True, "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    },
    "bargauge": {
        "displayMode": "lcd", "orientation": "horizontal", "showUnfilled": True, "minVizHeight": 16,
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    },
    "piechart": {
        "pieType": "donut", "displayLabels": ["percent"], "tooltip": {"mode": "single", "sort": "desc"},
        "legend": {"displayMode": "table", "placement": "right", "showLegend": True, "values": ["value", "percent"]},
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    },
    "table": {"showHeader": True, "cellHeight": "sm", "footer": {"show": False, "reducer": ["sum"], "fields": ""}},
}  # fmt: skip
_CUSTOM: dict[str, Json] = {
    "timeseries": {
        "drawStyle": "line", "lineInterpolation": "linear", "lineWidth": 1, "fillOpacity": 8, "showPoints": "never",
        "spanNulls": False, "axisSoftMin": 0, "stacking": {"mode": "none", "group": "A"}, "thresholdsStyle": {"mode": "off"},
    },
    "table": {"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False},
}  # fmt: skip


def panel_json(panel: Panel, x: int, y: int, datasource: Json, *, links: bool) -> Json:
    """The panel at grid position (x, y)."""
    defaults: Json = {
        "unit": panel.unit,
        "color": {"mode": "thresholds" if panel.kind in {"stat", "gauge", "bargauge"} else "palette-classic"},
        "thresholds": {
            "mode": "absolute",
            "steps": [
                {"color": panel.base, "value": None},
                *({"color": color, "value": value} for value, color in panel.steps),
            ],
        },
        "mappings": [],
        "noValue": "no data",
    }
    for key, value in (("min", panel.minimum), ("max", panel.maximum), ("decimals", panel.decimals)):
        if value is not None:
            defaults[key] = value
    custom = {**_CUSTOM.get(panel.kind, {}), **panel.custom}
    if panel.kind == "timeseries" and panel.steps:
        custom["thresholdsStyle"] = {"mode": "line"}
    if custom:
        defaults["custom"] = custom
    document: Json = {
        "id": panel.id,
        "title": panel.title,
        "type": panel.kind,
        "description": panel.description,
        "datasource": datasource,
        "gridPos": {"h": panel.height, "w": panel.width, "x": x, "y": y},
        "fieldConfig": {"defaults": defaults, "overrides": list(panel.overrides)},
        "options": {**_OPTIONS[panel.kind], **panel.options},
        "targets": [_target(query, panel.kind, datasource) for query in panel.queries],
        "transformations": list(panel.transformations),
    }
    if links:
        document["links"] = _links(panel)
    return document


def _target(query: Query, kind: str, datasource: Json) -> Json:
    return {
        "refId": query.ref,
        "datasource": datasource,
        "editorMode": "code",
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "instant": query.instant,
        "range": not query.instant,
        "exemplar": kind == "timeseries" and "_bucket" in query.expr,
        "format": "table" if kind == "table" else "time_series",
    }


def _links(panel: Panel) -> list[Json]:
    links = []
    if panel.runbook:
        links.append({"title": "Runbook", "url": f"/runbooks/{panel.runbook}.md", "targetBlank": True})
    if panel.traces:
        links.append({"title": "Traces", "url": f"/jaeger/search?{panel.traces}", "targetBlank": True})
    return links


def variable(name: str, label: str, query: str) -> Json:
    """A multi-value variable from label values, All by default."""
    return {
        "name": name, "label": label, "type": "query", "datasource": PROMETHEUS, "definition": query,
        "query": {"query": query, "refId": "StandardVariableQuery"}, "refresh": 2, "sort": 1, "regex": "", "hide": 0,
        "multi": True, "includeAll": True, "allValue": ".*", "current": {"text": ["All"], "value": ["$__all"]}, "options": [],
        "skipUrlSync": False,
    }  # fmt: skip


@dataclass(frozen=True)
class Dashboard:
    """A dashboard; `uid` is its file name too. `span` is the time shown first."""

    uid: str
    title: str
    description: str
    tags: Sequence[str]
    panels: Sequence[Panel]
    variables: Sequence[Json] = ()
    span: str = "now-6h"
    datasource: Json = field(default_factory=lambda: PROMETHEUS)
    for_operators: bool = True


def dashboard_json(dashboard: Dashboard) -> Json:
    """The whole document; panels flow from left to right in their order."""
    panels, x, y, row = [], 0, 0, 0
    for panel in dashboard.panels:
        if x + panel.width > WIDTH:
            x, y, row = 0, y + row, 0
        panels.append(panel_json(panel, x, y, dashboard.datasource, links=dashboard.for_operators))
        x, row = x + panel.width, max(row, panel.height)
    document: Json = {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": list(dashboard.tags),
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": REFRESH,
        "time": {"from": dashboard.span, "to": "now"},
        "timepicker": {"refresh_intervals": ["10s", "30s", "1m", "5m", "15m"]},
        "timezone": "browser",
        "templating": {"list": list(dashboard.variables)},
        "annotations": {"list": []},
        "panels": panels,
        "links": [],
    }
    if dashboard.for_operators:
        document["annotations"]["list"] = [
            {
                "name": "Critical alerts", "datasource": PROMETHEUS, "enable": True, "hide": False, "iconColor": "red",
                "expr": 'ALERTS{alertstate="firing", severity="critical"}', "titleFormat": "{{alertname}}", "step": "60s",
            }
        ]  # fmt: skip
        document["links"] = [
            {"title": "Dashboards", "type": "dashboards", "tags": ["portal"], "asDropdown": True, "includeVars": False, "keepTime": True},
            {"title": "Runbooks", "type": "link", "url": "/runbooks/", "icon": "doc", "targetBlank": True},
            {"title": "Traces", "type": "link", "url": "/jaeger/", "icon": "external link", "targetBlank": True},
            {"title": "Alerts", "type": "link", "url": "/alertmanager/", "icon": "bolt", "targetBlank": True},
        ]  # fmt: skip
    return document
