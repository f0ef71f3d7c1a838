"""The table of all our metrics, docs/metrics.md, from the metrics themselves. `make docs-metrics` writes it, a test compares it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import NamedTuple

from prometheus_client import Metric
from prometheus_client.metrics import MetricWrapperBase

from metering.event_store import metrics as event_store_metrics
from metering.telling import outbox_metrics
from portal.telemetry import metrics, vitals
from portal.telemetry.business import AGE
from tenants.enforcement import metrics as enforcement_metrics


class Row(NamedTuple):
    """A metric as it is exported."""

    name: str
    type: str
    labels: tuple[str, ...]
    text: str
    where: str


PROCESSES: tuple[tuple[ModuleType, str], ...] = (
    (enforcement_metrics, "web, decision, worker"),
    (metrics, "web, decision, worker"),
    (outbox_metrics, "worker"),
    (event_store_metrics, "web, worker"),
)
ELSEWHERE = {
    "portal_http_requests_in_progress": "web",
    "portal_task_runs_total": "worker",
    "portal_event_store_moved_events_total": "worker",
    "portal_event_store_move_failures_total": "worker",
    "portal_task_duration_seconds": "worker",
    "portal_worker_resident_memory_bytes": "worker",
    "portal_worker_cpu_seconds_total": "worker",
    **dict.fromkeys(
        (
            "portal_inference_duration_seconds",
            "portal_inference_batch_size",
            "portal_search_duration_seconds",
            "portal_indexing_documents_processed",
            "portal_indexing_documents_expected",
        ),
        "services",
    ),
}


def rows(business: Iterable[Metric]) -> list[Row]:
    """Every metric of ours; `business` are the families of `metering.metrics`, which needs a database to tell them."""
    found = [row for module, where in PROCESSES for row in _of_module(module, where)]
    found += [_of_family(family, "web, decision, worker, business") for family in vitals.Vitals("web", "any").collect()]
    found += [_of_family(family, "business") for family in business]
    name, text = AGE.splitlines()[0].removeprefix("# HELP ").split(" ", 1)
    found.append(Row(name, "gauge", (), text, "business"))
    return sorted(row._replace(where=ELSEWHERE.get(row.name, row.where)) for row in found)


def _of_module(module: ModuleType, where: str) -> Iterator[Row]:
    for metric in vars(module).values():
        if isinstance(metric, MetricWrapperBase):
            kind = str(metric._type)
            name = metric._name + ("_total" if kind == "counter" else "")
            yield Row(name, kind, tuple(metric._labelnames), metric._documentation, where)


def _of_family(family: Metric, where: str) -> Row:
    name = family.name + ("_total" if family.type == "counter" else "")
    return Row(name, family.type, tuple(family._labelnames), family.documentation, where)  # type: ignore[attr-defined]


def document(found: Iterable[Row]) -> str:
    """The whole file."""
    lines = [
        f"| `{row.name}` | {row.type} | {', '.join(row.labels)} | {row.where} | {row.text.replace('|', '/')} |"
        for row in found
    ]
    return HEAD + "\n".join(lines) + "\n"


HEAD = """# Metrics

Written by `make docs-metrics` from the metrics themselves. No histogram has a tenant label, and label values are bounded.

Four kinds of process are scraped, each with `Authorization: Bearer <METRICS_TOKEN>`:

| process | address | what it has |
|---|---|---|
| web | `:8000/metrics` | what all web processes of the machine count together; `django_*` beside the names below |
| decision endpoint | `:8001/metrics` | the same for it |
| worker | `:9101/metrics` (`WORKER_METRICS_PORT`, 0 for none) | the worker with its children |
| business exporter | `:9102/metrics` (`manage.py business_exporter --port 9102`) | what the database knows. Without that process, `:8000/metrics/business` has it. Scrape one of them, and once: every machine knows the same |

Processes that share a machine or a container, granian's workers or Celery's children, share `PROMETHEUS_MULTIPROC_DIR`, a folder in
memory: whoever is scraped adds up all files. The files of processes that have ended are merged, so counters survive recycled
workers and scrapes stay cheap. A process that speaks for itself (no such folder) answers `Accept: application/openmetrics-text` with
exemplars: the trace of a decision, a task, an inference or a search.

However many scrapers come, a process makes its page at most twice a second, and the business page every ten seconds in the background:
scrapes get the last one, and `portal_business_metrics_age_seconds` says how old it is.

Services report inference, search and indexing with `portal.telemetry.workloads`, or in their own language under these names.

| metric | type | labels | where | meaning |
|---|---|---|---|---|
"""
