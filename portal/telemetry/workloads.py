"""For the platform's services (ml, search): how long their work took. prometheus_client only; no Django, no settings.

    from portal.telemetry import workloads
    with workloads.inference("segmenter-2", batch_size=8): …
    with workloads.search("semantic"): …
    workloads.indexing("studies", processed=120, expected=400)

Names of models and indexes become labels, so each label has room for `MOST` of them; further ones count as "other".
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from portal.telemetry import metrics
from tenants.spans import exemplar

MOST = 50
LONGEST = 64
KINDS = frozenset({"keyword", "filtered", "semantic"})
_seen: dict[str, set[str]] = {"model": set(), "index": set()}


@contextmanager
def inference(model: str, batch_size: int = 1) -> Iterator[None]:
    """Time one run of a model on `batch_size` requests. A run that fails is not counted."""
    started = time.perf_counter()
    yield
    label = bounded("model", model)
    metrics.INFERENCE_SECONDS.labels(label).observe(time.perf_counter() - started, exemplar())
    metrics.INFERENCE_BATCH.labels(label).observe(batch_size)


@contextmanager
def search(kind: str) -> Iterator[None]:
    """Time one search: keyword, filtered or semantic. A search that fails is not counted."""
    started = time.perf_counter()
    yield
    label = kind if kind in KINDS else "other"
    metrics.SEARCH_SECONDS.labels(label).observe(time.perf_counter() - started, exemplar())


def indexing(index: str, *, processed: int, expected: int) -> None:
    """How far an indexing job is."""
    label = bounded("index", index)
    metrics.INDEXED.labels(label).set(processed)
    metrics.TO_INDEX.labels(label).set(expected)


def bounded(kind: str, value: str) -> str:
    """`value`, or "other" when it is too long to be a name or one name too many."""
    known = _seen[kind]
    if value in known:
        return value
    if len(value) > LONGEST or len(known) >= MOST or not value.isprintable():
        return "other"
    known.add(value)
    return value
