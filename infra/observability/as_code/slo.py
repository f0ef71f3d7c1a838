"""SLO & error budget: how fast each objective's budget burns, what is left, and capacity ahead."""

from __future__ import annotations

from .grafana import GREEN, ORANGE, RED, YELLOW, Dashboard, Panel, Query, variable

_S = 'slo=~"$slo"'
_LEFT = f"1 - slo:sli_error:ratio_rate30d{{{_S}}} / on (slo) slo:error_budget:ratio{{{_S}}}"


def _burn(window: str) -> str:
    return f"slo:sli_error:ratio_rate{window}{{{_S}}} / on (slo) slo:error_budget:ratio{{{_S}}}"


DASHBOARD = Dashboard(
    uid="slo-error-budget",
    title="SLO & error budget",
    description="Service levels over 30 days. A burn rate of 1 spends the budget in exactly 30 days; 14.4 spends 2 % of it in an hour.",
    tags=["portal", "slo"],
    variables=[variable("slo", "SLO", "label_values(slo:error_budget:ratio, slo)")],
    span="now-7d",
    panels=[
        Panel(
            1, "Error budget left", "bargauge", "Part of the 30-day error budget that is left, by SLO. Below 0 the SLO is missed.",
            [Query(_LEFT, "{{slo}}")], "percentunit", width=12, base=RED, steps=[(0, ORANGE), (0.25, YELLOW), (0.5, GREEN)],
            minimum=0, maximum=1, runbook="ErrorBudgetSpent",
        ),
        Panel(
            2, "Service level, 30 days", "stat", "What was reached over 30 days (or as long as there is data).",
            [Query(f"1 - slo:sli_error:ratio_rate30d{{{_S}}}", "{{slo}}")], "percentunit", width=12, decimals=3, runbook="ErrorBudgetSpent",
        ),
        Panel(
            3, "Burn rate, 1 hour", "timeseries", "How many times faster than allowed the budget burns. 14.4 over 1 h and 5 min pages.",
            [Query(_burn("1h"), "{{slo}}")], "short", steps=[(1, YELLOW), (14.4, RED)], runbook="ApiAvailabilityBelowSlo",
        ),
        Panel(
            4, "Burn rate, 6 hours", "timeseries", "The slower window: 6 over 6 h and 30 min pages.",
            [Query(_burn("6h"), "{{slo}}")], "short", steps=[(1, YELLOW), (6, RED)], runbook="ApiAvailabilityBelowSlo",
        ),
        Panel(
            5, "Burn rate, 3 days", "timeseries", "Slow leaks: 1 over 3 days and 6 h makes a ticket.",
            [Query(_burn("3d"), "{{slo}}")], "short", steps=[(1, ORANGE)], runbook="ErrorBudgetBurnsSlowly",
        ),
        Panel(
            6, "Budget left over time", "timeseries", "The same as above, as a course.",
            [Query(_LEFT, "{{slo}}")], "percentunit", width=12, base=RED, steps=[(0, ORANGE), (0.25, GREEN)], runbook="ErrorBudgetSpent",
        ),
        Panel(
            7, "Disk full in", "bargauge", "Days until each file system is full at the last 6 hours' rate (365: not in sight).",
            [Query(
                'clamp(min by (instance, mountpoint) (node_filesystem_avail_bytes{fstype!~"tmpfs|overlay|squashfs|ramfs"} '
                '/ (-deriv(node_filesystem_avail_bytes{fstype!~"tmpfs|overlay|squashfs|ramfs"}[6h]) > 0)) / 86400, 0, 365)'
                ' or 0 * min by (instance, mountpoint) (node_filesystem_avail_bytes{fstype!~"tmpfs|overlay|squashfs|ramfs"}) + 365',
                "{{instance}} {{mountpoint}}",
            )],
            "d", width=6, base=RED, steps=[(7, ORANGE), (30, GREEN)], minimum=0, maximum=365, runbook="StorageAbove80",
        ),
        Panel(
            8, "Capacity: GPU use in 7 days", "timeseries", "Mean utilization of all GPUs, and where its trend of the last 24 h leads in 7 days.",
            [
                Query("gpu:utilization:avg", "now"),
                Query("clamp(predict_linear(gpu:utilization:avg[24h], 604800), 0, 1)", "in 7 days", ref="B"),
            ],
            "percentunit", width=6, steps=[(0.85, ORANGE), (0.95, RED)], minimum=0, maximum=1, runbook="GpuUtilizationLow",
        ),
        Panel(
            9, "Ledger: how far behind", "timeseries",
            "Since when the oldest hour waits to be summed up, and, with the ledger in ClickHouse, the oldest event to be moved there.",
            [
                Query("max(portal_rollup_lag_seconds)", "hours to be summed up"),
                Query("max by (engine) (portal_event_store_oldest_waiting_seconds)", "events to {{engine}}", ref="B"),
            ],
            "s", width=12, steps=[(60, YELLOW), (300, RED)], minimum=0, runbook="EventsNotMoved",
        ),
    ],
)  # fmt: skip
