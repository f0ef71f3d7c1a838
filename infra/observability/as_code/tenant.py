"""The tenants' own dashboard, embedded in the portal. Every selector holds exactly one `tenant="${__user.login}"`.

The Grafana user of a tenant is called like its label, and prom-label-proxy forces the same label again: the selector here only
makes that a query which asks for more is refused instead of silently narrowed.
"""

from __future__ import annotations

from .grafana import GREEN, ORANGE, RED, TENANTS_PROMETHEUS, YELLOW, Dashboard, Panel, Query

ME = 'tenant="${__user.login}"'


def _mine(metric: str, *more: str) -> str:
    return f"{metric}{{{', '.join([ME, *more])}}}"


DASHBOARD = Dashboard(
    uid="tenant",
    title="Your usage and costs",
    description="Usage, quotas and costs of one tenant. Times are those of the browser.",
    tags=["tenant"],
    span="now-30d",
    datasource=TENANTS_PROMETHEUS,
    for_operators=False,
    panels=[
        Panel(
            1, "API calls", "timeseries", "Granted calls a second, by route group.",
            [Query(f"sum by (route_group) (rate({_mine('portal_api_requests_total')}[$__rate_interval]))", "{{route_group}}")],
            "reqps", width=12,
        ),
        Panel(
            2, "Quotas used", "bargauge", "Used part of each quota of this month.",
            [Query(
                f"max by (resource) ({_mine('portal_quota_used')}) / (max by (resource) ({_mine('portal_quota_limit')}) > 0)", "{{resource}}",
            )],
            "percentunit", width=12, steps=[(0.8, ORANGE), (1, RED)], minimum=0, maximum=1,
        ),
        Panel(
            3, "Cost this month", "stat", "Cost of the running month so far.",
            [Query(f"sum(max by (category) ({_mine('portal_cost_month_to_date_usd')}))", "so far")], "currencyUSD", width=6, decimals=2,
        ),
        Panel(
            4, "Cost by category", "piechart", "Where the month's cost comes from.",
            [Query(f"max by (category) ({_mine('portal_cost_month_to_date_usd')})", "{{category}}", instant=True)],
            "currencyUSD", width=6, decimals=2,
        ),
        Panel(
            5, "Cost projection", "timeseries", "What the month will come to: expected, and the range it will probably end in.",
            [Query(f"max by (bound) ({_mine('portal_cost_projection_usd')})", "{{bound}}")], "currencyUSD", width=12,
        ),
        Panel(
            6, "Budget spent", "gauge", "Spent part of the monthly budget.",
            [Query(f"max({_mine('portal_budget_spent_ratio')})", "spent")],
            "percentunit", width=6, steps=[(0.8, YELLOW), (0.9, ORANGE), (1, RED)], minimum=0, maximum=1,
        ),
        Panel(
            7, "GPU hours by model", "timeseries", "GPU hours held a day, by model.",
            [Query(f"sum by (model) (rate({_mine('portal_gpu_seconds_total')}[1h])) * 24", "{{model}}")], "h", width=12,
        ),
        Panel(
            8, "GPUs held now", "stat", "Devices, or parts of them, that are yours at this moment.",
            [Query(f"sum(max by (UUID, workload) ({_mine('portal_gpu_allocation_info')})) or vector(0)", "GPUs")],
            "short", width=6, base=GREEN, decimals=1,
        ),
    ],
)  # fmt: skip
