"""`uvicorn aurelius_platform.search.app:create --factory`: three kinds of search, and indexing jobs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from celery import Celery
from fastapi import FastAPI, Query

from .. import metrics, tracing
from ..config import Config, from_environment
from ..jobs import Jobs
from ..queueing import celery_app
from ..usage import Usage
from ..web import ByCaller, enqueue, finished, problem, service, show_jobs, unfit
from . import vectors
from .index import REPORTS, Index, NoIndexError

MODELS = {"keyword": "bm25", "filtered": "bm25", "semantic": vectors.NAME}
MOST_DOCUMENTS = 20_000


def create(config: Config | None = None, queue: Celery | None = None, usage: Usage | None = None) -> FastAPI:
    """The application. Without arguments it is as the environment says."""
    config = config or from_environment("search")
    tracing.start(config)
    index, jobs = Index(config.indexes, REPORTS), Jobs(config.jobs)
    queue, usage = queue or celery_app(config), usage or Usage.of(config)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with usage:
            yield

    app = service(config, lifespan)

    @app.get("/search")
    async def search(
        caller: ByCaller,
        q: Annotated[str, Query(min_length=1, max_length=500)],
        kind: Literal["keyword", "filtered", "semantic"] = "keyword",
        modality: str = "",
        body_part: str = "",
        since: Annotated[int | None, Query(ge=1900, le=2100)] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 10,
    ) -> dict[str, Any]:
        """Reports that have all words (keyword), of a modality, part or time besides (filtered), or of like meaning (semantic)."""
        filters = {"modality": modality, "body_part": body_part, "since": since}
        if kind != "filtered" and (ignored := [name for name, value in filters.items() if value not in (None, "")]):
            raise unfit(
                *({"field": name, "detail": f"It holds for kind=filtered, not for {kind}."} for name in ignored)
            )
        began = time.perf_counter()
        try:
            with tracing.span(f"search.{kind}"):
                found = await asyncio.to_thread(index.search, kind, q, limit, **filters)
        except NoIndexError:
            raise problem(503, "no_index", "There is no index yet: POST /indexes/reports/jobs builds it.") from None
        metrics.SEARCH_SECONDS.labels(kind).observe(time.perf_counter() - began + config.slow_ms / 1000, tracing.exemplar())  # fmt: skip
        usage.record(caller, "searches", model=MODELS[kind])
        return {"kind": kind, "count": len(found), "results": found}

    @app.post("/indexes/reports/jobs", status_code=202)
    def reindex(caller: ByCaller, documents: Annotated[int, Query(ge=10, le=MOST_DOCUMENTS)] = 2_000) -> dict[str, Any]:
        """Build the index anew in the background."""
        job = jobs.add("index", caller, REPORTS, expected=documents)
        return enqueue(queue, jobs, "platform.index", job)

    show_jobs(app, jobs)
    return finished(app)
