"""GPU & Cost Tracking: sixteen panels. GPUs are read from DCGM where it runs, and from the portal's own collectors elsewhere."""

from __future__ import annotations

from .grafana import GREEN, ORANGE, RED, YELLOW, Dashboard, Panel, Query, variable

_I = "$__rate_interval"
_T = 'tenant=~"$tenant"'


def _gpu(dcgm: str, own: str) -> list[Query]:
    """The same reading from DCGM and from the portal's collectors (for hosts without dcgm-exporter)."""
    return [
        Query(f"avg by (Hostname, gpu, modelName) ({dcgm})", "{{Hostname}} GPU {{gpu}} {{modelName}}"),
        Query(f"avg by (node, gpu, model) ({own})", "{{node}} GPU {{gpu}} {{model}}", ref="B"),
    ]


def _month(category: str = "") -> str:
    chosen = f'{_T}, category="{category}"' if category else _T
    return f"sum(max by (tenant, category) (portal_cost_month_to_date_usd{{{chosen}}}))"


DASHBOARD = Dashboard(
    uid="gpu-costs",
    title="GPU & Cost Tracking",
    description="Whether the GPUs are busy and well, and what this month costs, by tenant, category and model. Amounts come from the ledger.",
    tags=["portal", "gpu", "costs"],
    variables=[variable("tenant", "Tenant", "label_values(portal_cost_month_to_date_usd, tenant)")],
    span="now-24h",
    panels=[
        Panel(
            1, "GPU utilization", "timeseries", "Part of the time in which each device computed. Below 20 % it is paid for and idle.",
            _gpu("DCGM_FI_DEV_GPU_UTIL / 100", "portal_gpu_utilization_ratio"),
            "percentunit", width=12, base=ORANGE, steps=[(0.2, GREEN)], minimum=0, maximum=1, runbook="GpuUtilizationLow",
        ),
        Panel(
            2, "GPU memory", "timeseries", "Part of each device's memory in use; the line at 90 % is where the alert fires.",
            _gpu(
                "DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE)",
                "portal_gpu_memory_used_bytes / (portal_gpu_memory_total_bytes > 0)",
            ),
            "percentunit", width=12, steps=[(0.9, RED)], minimum=0, maximum=1, runbook="GpuMemoryHigh",
        ),
        Panel(
            3, "GPU temperature", "timeseries", "Temperature of each device; most throttle near 85 °C.",
            _gpu("DCGM_FI_DEV_GPU_TEMP", "portal_gpu_temperature_celsius"), "celsius", steps=[(75, ORANGE), (85, RED)],
            runbook="GpuMemoryHigh",
        ),
        Panel(
            4, "Power draw", "timeseries", "Power of each device.",
            _gpu("DCGM_FI_DEV_POWER_USAGE", "portal_gpu_power_watts"), "watt", runbook="GpuUtilizationLow",
        ),
        Panel(
            5, "Inference batch size", "timeseries", "Requests computed together, on average, by model. Bigger batches use a GPU better.",
            [Query(
                f"sum by (model) (rate(portal_inference_batch_size_sum[{_I}])) / (sum by (model) (rate(portal_inference_batch_size_count[{_I}])) > 0)",
                "{{model}}",
            )],
            "short", runbook="InferenceLatencyHigh", traces="service=ml&lookback=1h",
        ),
        Panel(
            6, "API calls this month", "stat", "Cost of API calls of the running month.",
            [Query(_month("api"), "API calls")], "currencyUSD", width=6, decimals=2, runbook="MonthlyCostAbove80Percent",
        ),
        Panel(
            7, "Storage this month", "stat", "Cost of storage of the running month.",
            [Query(_month("storage"), "storage")], "currencyUSD", width=6, decimals=2, runbook="MonthlyCostAbove80Percent",
        ),
        Panel(
            8, "GPU this month", "stat", "Cost of GPU hours of the running month.",
            [Query(_month("gpu"), "GPU")], "currencyUSD", width=6, decimals=2, runbook="MonthlyCostAbove80Percent",
        ),
        Panel(
            9, "Total this month", "stat", "Cost of the running month, of everything.",
            [Query(_month(), "total")], "currencyUSD", width=6, decimals=2, steps=[(5000, ORANGE), (10000, RED)],
            runbook="MonthlyCostAbove100Percent",
        ),
        Panel(
            10, "Cost by tenant", "piechart", "The ten dearest tenants of the running month.",
            [Query(
                f"topk(10, sum by (tenant) (max by (tenant, category) (portal_cost_month_to_date_usd{{{_T}}})))", "{{tenant}}", instant=True,
            )],
            "currencyUSD", decimals=2, runbook="TenantCostUnusual",
        ),
        Panel(
            11, "Cost projection", "timeseries",
            "What the month will come to: expected, and the range it will probably end in; and what it costs so far.",
            [
                Query(f'sum(max by (tenant) (portal_cost_projection_usd{{{_T}, bound="expected"}}))', "expected"),
                Query(f'sum(max by (tenant) (portal_cost_projection_usd{{{_T}, bound="low"}}))', "low", ref="B"),
                Query(f'sum(max by (tenant) (portal_cost_projection_usd{{{_T}, bound="high"}}))', "high", ref="C"),
                Query(_month(), "so far", ref="D"),
            ],
            "currencyUSD", width=16, steps=[(8000, YELLOW), (10000, RED)], runbook="MonthlyCostAbove90Percent",
        ),
        Panel(
            12, "Tenant quota usage", "table", "Used part of each tenant's quotas, fullest first. Unlimited quotas are not listed.",
            [Query(
                f"sort_desc(max by (tenant, resource) (portal_quota_used{{{_T}}}) / (max by (tenant, resource) (portal_quota_limit{{{_T}}}) > 0))",
                instant=True,
            )],
            "percentunit", width=12, steps=[(0.8, ORANGE), (1, RED)], runbook="TenantQuotaAbove80",
            transformations=[{"id": "organize", "options": {
                "excludeByName": {"Time": True}, "renameByName": {"tenant": "Tenant", "resource": "Resource", "Value": "Used"},
            }}],
            overrides=[{
                "matcher": {"id": "byName", "options": "Used"},
                "properties": [
                    {"id": "min", "value": 0}, {"id": "max", "value": 1},
                    {"id": "custom.cellOptions", "value": {"type": "gauge", "mode": "basic"}},
                ],
            }],
        ),
        Panel(
            13, "GPU hours by model", "bargauge", "GPU hours held over the shown time, by model.",
            [Query(
                f"sum by (model) (increase(portal_gpu_seconds_total{{{_T}}}[$__range])) / 3600", "{{model}}", instant=True,
            )],
            "h", width=12, decimals=1, minimum=0, runbook="GpuUtilizationLow",
        ),
        Panel(
            14, "Budget alerts", "table", "Cost and quota alerts that fire now.",
            [Query('ALERTS{alertname=~"MonthlyCost.*|TenantQuota.*", alertstate="firing"}', instant=True)],
            "short", runbook="MonthlyCostAbove100Percent",
            transformations=[{"id": "organize", "options": {
                "excludeByName": {"Time": True, "Value": True, "__name__": True, "alertstate": True},
                "renameByName": {"alertname": "Alert", "severity": "Severity", "tenant": "Tenant", "resource": "Resource", "team": "Team"},
            }}],
        ),
        Panel(
            15, "Cost per API call", "stat", "What a call cost on average in the last 24 hours.",
            [Query(
                f'sum(increase(portal_cost_usd_total{{{_T}, category="api"}}[1d])) / (sum(increase(portal_api_requests_total{{{_T}}}[1d])) > 0)',
                "per call",
            )],
            "currencyUSD", decimals=5, runbook="TenantCostUnusual",
        ),
        Panel(
            16, "Cost per inference", "stat", "GPU cost of an inference on average in the last 24 hours.",
            [Query(
                'sum(increase(portal_cost_usd_total{category="gpu"}[1d])) / (sum(increase(portal_inference_duration_seconds_count[1d])) > 0)',
                "per inference",
            )],
            "currencyUSD", decimals=4, runbook="GpuUtilizationLow",
        ),
    ],
)  # fmt: skip
