"""API Performance & Latency: ten panels."""

from __future__ import annotations

from .grafana import GREEN, ORANGE, RED, YELLOW, Dashboard, Panel, Query, variable

_VIEW = 'view=~"$view", view!~"metrics|healthz|readyz|prometheus-django-metrics"'
_LATENCY = f"django_http_requests_latency_seconds_by_view_method_bucket{{{_VIEW}}}"
_STATUS = "django_http_responses_total_by_status_total"
_TRACES = "service=portal-web&lookback=1h"


def _quantile(q: str, series: str, by: str = "le") -> str:
    return f"histogram_quantile({q}, sum by ({by}) (rate({series}[$__rate_interval])))"


DASHBOARD = Dashboard(
    uid="api-performance",
    title="API Performance & Latency",
    description="What callers of the portal and its API feel: rate, latency, errors, and where the time goes.",
    tags=["portal", "api"],
    variables=[variable("view", "Endpoint", "label_values(django_http_requests_total_by_view_transport_method_total, view)")],
    panels=[
        Panel(
            1, "Request rate by endpoint", "timeseries",
            "Requests a second of the 15 busiest endpoints. Health checks and scrapes are left out.",
            [Query(
                "topk(15, sum by (view) (rate(django_http_requests_total_by_view_transport_method_total"
                f"{{{_VIEW}}}[$__rate_interval])))", "{{view}}",
            )],
            "reqps", width=12, traces=_TRACES,
        ),
        Panel(
            2, "Latency p95 and p99", "timeseries",
            "Time within which 95 % and 99 % of the requests were answered. The SLO is 500 ms for 95 %.",
            [Query(_quantile("0.95", _LATENCY), "p95"), Query(_quantile("0.99", _LATENCY), "p99", ref="B")],
            "s", width=12, steps=[(0.5, RED)], runbook="ApiLatencyHigh", traces=_TRACES + "&minDuration=500ms",
        ),
        Panel(
            3, "Error rate", "timeseries",
            "Part of the answers that are 5xx. Above 1 % an alert fires; the SLO allows 0.1 % over 30 days.",
            [Query(
                f'(sum(rate({_STATUS}{{status=~"5.."}}[$__rate_interval])) or vector(0))'
                f" / sum(rate({_STATUS}[$__rate_interval]))", "5xx",
            )],
            "percentunit", steps=[(0.001, YELLOW), (0.01, RED)], minimum=0,
            runbook="ApiErrorRateHigh", traces=_TRACES + "&tags=%7B%22error%22%3A%22true%22%7D",
        ),
        Panel(
            4, "Active connections", "stat", "Requests being answered at this moment, in all processes.",
            [Query("sum(portal_http_requests_in_progress)", "in progress")],
            "short", width=4, steps=[(50, ORANGE), (200, RED)], runbook="ApiLatencyHigh",
        ),
        Panel(
            5, "Status codes", "piechart", "Answers by status over the shown time.",
            [Query(f"sum by (status) (increase({_STATUS}[$__range]))", "{{status}}", instant=True)],
            "short", width=6, decimals=0, runbook="ApiErrorRateHigh",
        ),
        Panel(
            6, "Rate-limit hits", "timeseries",
            "Calls refused with 429, by what refused them: minute, hour, day or the month's quota.",
            [Query("sum by (scope) (rate(portal_rate_limit_hits_total[$__rate_interval]))", "{{scope}}")],
            "reqps", width=6, steps=[(10, ORANGE)], runbook="RateLimitHitsHigh",
        ),
        Panel(
            7, "Service-to-service latency", "timeseries",
            "p95 of calls from one service to another, from their client spans (all spans, before sampling).",
            [Query(
                _quantile(
                    "0.95", 'traces_span_metrics_duration_seconds_bucket{span_kind="SPAN_KIND_CLIENT"}',
                    "le, service_name, peer_service",
                ), "{{service_name}} → {{peer_service}}",
            )],
            "s", steps=[(0.5, ORANGE)], runbook="ApiLatencyHigh", traces=_TRACES,
        ),
        Panel(
            8, "Database query performance", "timeseries", "p95 of database queries of the web processes.",
            [Query(_quantile("0.95", "django_db_query_duration_seconds_bucket", "le, alias"), "{{alias}}")],
            "s", steps=[(0.25, ORANGE), (1, RED)], runbook="SlowDatabaseQueries", traces=_TRACES + "&operation=SELECT",
        ),
        Panel(
            9, "Cache hit rate", "gauge", "Part of the cache reads that found something. Below 80 % the database does the work.",
            [Query(
                "(sum(rate(django_cache_get_hits_total[$__rate_interval])) or vector(0)) / (sum(rate(django_cache_get_total[$__rate_interval])) > 0)",
                "hits",
            )],
            "percentunit", width=4, base=RED, steps=[(0.5, ORANGE), (0.8, GREEN)], minimum=0, maximum=1,
            runbook="SlowDatabaseQueries",
        ),
        Panel(
            10, "Traces", "timeseries", "Traces begun, by service: entry spans seen by the collector, whether kept or not.",
            [Query(
                'sum by (service_name) (increase(traces_span_metrics_calls_total{span_kind=~"SPAN_KIND_(SERVER|CONSUMER)"}[$__rate_interval]))',
                "{{service_name}}",
            )],
            "short", width=4, custom={"drawStyle": "bars", "fillOpacity": 60}, traces=_TRACES,
        ),
    ],
)  # fmt: skip
