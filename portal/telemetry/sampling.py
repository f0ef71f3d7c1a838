"""Which traces are kept."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, SpanKind, TraceState

decided: ContextVar[bool] = ContextVar("portal.trace_is_kept", default=False)
"""Whether the question was asked and answered with yes (requests.py). Not OpenTelemetry's context: what is extracted replaces that."""


class BegunByWork(Sampler):
    """Begins traces for requests, tasks and own spans, never for a lonely query: a worker that looks for work is no story."""

    def __init__(self, inner: Sampler) -> None:
        self._inner = inner

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Any = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        if kind == SpanKind.CLIENT:
            return SamplingResult(Decision.DROP)
        if decided.get():
            return SamplingResult(Decision.RECORD_AND_SAMPLE)
        return self._inner.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        return f"BegunByWork({self._inner.get_description()})"


def sampler(ratio: float, *, trust_parent: bool) -> Sampler:
    """Keep `ratio` (0 to 1) of the traces that begin here; a trace that came with a request is kept as its beginner decided.

    Without `trust_parent`, for a portal that anybody's requests reach, callers cannot have their traces kept: the ratio decides.
    """
    root = BegunByWork(TraceIdRatioBased(ratio))
    asked = ALWAYS_ON if trust_parent else TraceIdRatioBased(ratio)
    return ParentBased(root=root, remote_parent_sampled=asked, remote_parent_not_sampled=ALWAYS_OFF)
