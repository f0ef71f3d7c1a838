"""Job Queues & Workers: fourteen panels."""

from __future__ import annotations

from .grafana import GREEN, ORANGE, RED, Dashboard, Panel, Query, variable

_I = "$__rate_interval"
_NAME = 'name=~"$task"'
_TRACES = "service=portal-worker&lookback=1h"


def _done(state: str) -> str:
    return f"sum(rate(celery_task_{state}_total{{{_NAME}}}[{_I}]))"


def _runtime(q: str) -> str:
    return f"histogram_quantile({q}, sum by (le, name) (rate(celery_task_runtime_bucket{{{_NAME}}}[{_I}])))"


DASHBOARD = Dashboard(
    uid="job-queues",
    title="Job Queues & Workers",
    description="What waits, what runs, how long it takes and what fails.",
    tags=["portal", "jobs"],
    variables=[
        variable("queue", "Queue", "label_values(celery_queue_length, queue_name)"),
        variable("task", "Task", "label_values(celery_task_received_total, name)"),
    ],
    panels=[
        Panel(
            1, "Active workers", "stat", "Workers that answered in the last minutes. Without one, nothing is booked, sent or invoiced.",
            [Query("sum(celery_worker_up)", "workers")], "short", width=4, base=RED, steps=[(1, GREEN)], runbook="NoActiveWorkers",
        ),
        Panel(
            2, "Queue depth by name", "bargauge", "Tasks waiting now. 1,000 raise an alert.",
            [Query('max by (queue_name) (celery_queue_length{queue_name=~"$queue"})', "{{queue_name}}")],
            "short", steps=[(200, ORANGE), (1000, RED)], minimum=0, runbook="QueueDepthHigh",
        ),
        Panel(
            3, "Tasks running", "stat", "Tasks being worked on now.", [Query("sum(celery_worker_tasks_active)", "running")],
            "short", width=4, runbook="QueueDepthHigh",
        ),
        Panel(
            4, "Task success rate", "gauge", "Part of the ended tasks that succeeded.",
            [Query(
                f"{_done('succeeded')} / (({_done('succeeded')} + ({_done('failed')} or vector(0))) > 0)", "succeeded",
            )],
            "percentunit", base=RED, steps=[(0.9, ORANGE), (0.99, GREEN)], minimum=0, maximum=1,
            runbook="TaskFailureRateHigh", traces=_TRACES + "&tags=%7B%22error%22%3A%22true%22%7D",
        ),
        Panel(
            5, "Throughput", "timeseries", "Tasks that succeeded, a second, by name.",
            [Query(f"sum by (name) (rate(celery_task_succeeded_total{{{_NAME}}}[{_I}]))", "{{name}}")], "ops", traces=_TRACES,
        ),
        Panel(
            6, "Task duration p95 and p99", "timeseries", "How long 95 % and 99 % of the runs took at most, by name.",
            [Query(_runtime("0.95"), "{{name}} p95"), Query(_runtime("0.99"), "{{name}} p99", ref="B")],
            "s", steps=[(300, ORANGE), (540, RED)], runbook="QueueDepthHigh", traces=_TRACES + "&minDuration=1s",
        ),
        Panel(
            7, "Queue length over time", "timeseries", "Tasks waiting; the line is where the alert fires.",
            [Query('max by (queue_name) (celery_queue_length{queue_name=~"$queue"})', "{{queue_name}}")],
            "short", steps=[(1000, RED)], runbook="QueueDepthHigh",
        ),
        Panel(
            8, "Failed tasks", "piechart", "Failures over the shown time, by exception.",
            [Query(
                f'sum by (exception) (increase(celery_task_failed_total{{{_NAME}, exception!=""}}[$__range]))', "{{exception}}", instant=True,
            )],
            "short", decimals=0, runbook="TaskFailureRateHigh", traces=_TRACES + "&tags=%7B%22error%22%3A%22true%22%7D",
        ),
        Panel(
            9, "Retry rate", "timeseries", "Part of the starts that were retried.",
            [Query(f"({_done('retried')} or vector(0)) / ({_done('started')} > 0)", "retried")],
            "percentunit", steps=[(0.05, ORANGE), (0.2, RED)], minimum=0, runbook="TaskFailureRateHigh",
        ),
        Panel(
            10, "Worker memory", "timeseries", "Resident memory of each worker.",
            [Query("sum by (worker) (portal_worker_resident_memory_bytes)", "{{worker}}")],
            "bytes", steps=[(1_500_000_000, ORANGE)], runbook="NoActiveWorkers",
        ),
        Panel(
            11, "Worker CPU", "timeseries", "Processor time of each worker; 100 % is one core.",
            [Query(f"sum by (worker) (rate(portal_worker_cpu_seconds_total[{_I}]))", "{{worker}}")],
            "percentunit", runbook="QueueDepthHigh",
        ),
        Panel(
            12, "Indexing job progress", "table", "Documents indexed of those expected, by index.",
            [
                Query("sum by (index) (portal_indexing_documents_processed)", instant=True),
                Query("sum by (index) (portal_indexing_documents_expected)", instant=True, ref="B"),
                Query(
                    "sum by (index) (portal_indexing_documents_processed) / (sum by (index) (portal_indexing_documents_expected) > 0)",
                    instant=True, ref="C",
                ),
            ],
            "short", runbook="SearchLatencyHigh",
            transformations=[
                {"id": "merge", "options": {}},
                {"id": "organize", "options": {
                    "excludeByName": {"Time": True},
                    "renameByName": {"index": "Index", "Value #A": "Indexed", "Value #B": "Expected", "Value #C": "Progress"},
                }},
            ],
            overrides=[{
                "matcher": {"id": "byName", "options": "Progress"},
                "properties": [
                    {"id": "unit", "value": "percentunit"}, {"id": "min", "value": 0}, {"id": "max", "value": 1},
                    {"id": "custom.cellOptions", "value": {"type": "gauge", "mode": "basic"}},
                ],
            }],
        ),
        Panel(
            13, "ML inference queue depth", "timeseries", "Inference jobs waiting for a GPU, in all queues named ml…",
            [Query('max(celery_queue_length{queue_name=~"ml.*"}) or vector(0)', "ml")],
            "short", width=12, steps=[(100, ORANGE), (1000, RED)], runbook="QueueDepthHigh",
        ),
        Panel(
            14, "Image processing queue depth", "timeseries", "Image jobs waiting to be processed.",
            [Query('max(celery_queue_length{queue_name=~"image.*"}) or vector(0)', "image")],
            "short", width=12, steps=[(100, ORANGE), (1000, RED)], runbook="QueueDepthHigh",
        ),
    ],
)  # fmt: skip
