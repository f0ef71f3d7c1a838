"""`uvicorn aurelius_platform.ml.app:create --factory`: batched inference, and jobs over whole studies."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import numpy as np
from celery import Celery
from fastapi import FastAPI
from pydantic import Field

from .. import metrics, tracing
from ..accounts import Caller
from ..config import Config, from_environment
from ..imaging.catalogue import Catalogue
from ..jobs import Jobs
from ..queueing import celery_app
from ..upstream import Upstream
from ..usage import Usage
from ..web import Asked, ByCaller, away, enqueue, finished, problem, service, show_jobs
from .batching import Batcher, OverloadedError
from .model import EDGE, NAME, Floats, Model, Prediction

StudyId = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]


class Inference(Asked):
    """One slice to look at."""

    study: StudyId
    slice: Annotated[int, Field(ge=0)] = 0


class BatchJob(Asked):
    """Studies to look at in the background, under a GPU reservation."""

    studies: Annotated[list[StudyId], Field(min_length=1, max_length=100)]


def create(config: Config | None = None, queue: Celery | None = None, usage: Usage | None = None, imaging: Upstream | None = None) -> FastAPI:  # fmt: skip
    """The application. Without arguments it is as the environment says."""
    config = config or from_environment("ml")
    tracing.start(config)
    model, jobs, catalogue = Model(config.model), Jobs(config.jobs), Catalogue.load(config.catalogue)
    queue, usage = queue or celery_app(config), usage or Usage.of(config)
    imaging = imaging or Upstream(config, "imaging")

    def work(slices: list[Floats]) -> list[Prediction]:
        metrics.INFERENCE_BATCH.labels(NAME).observe(len(slices))
        return model.run(np.stack(slices)[:, None])

    batcher: Batcher[Floats, Prediction] = Batcher(work)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with usage:
            async with batcher:
                yield
        await imaging.close()

    app = service(config, lifespan)

    @app.post("/infer")
    async def infer(asked: Inference, caller: ByCaller) -> dict[str, Any]:
        """Which modality a slice is of."""
        began = time.perf_counter()
        pixels = await _slice(imaging, asked, caller)
        try:
            with tracing.span("ml.infer", model=NAME):
                found = await batcher.ask(pixels)
        except OverloadedError as error:
            raise problem(503, "overloaded", f"The model has too much to do: {error}.") from None
        metrics.INFERENCE_SECONDS.labels(NAME).observe(time.perf_counter() - began + config.slow_ms / 1000, tracing.exemplar())  # fmt: skip
        usage.record(caller, "inferences", model=NAME)
        return {"model": NAME, "label": found.label, "probabilities": found.probabilities}

    @app.post("/jobs", status_code=202)
    def start(asked: BatchJob, caller: ByCaller) -> dict[str, Any]:
        """All slices of these studies, in the background; GPUs are reserved at the portal around the job."""
        studies = {id: catalogue.get(id) for id in asked.studies}
        if unknown := [id for id, study in studies.items() if study is None]:
            raise problem(404, "no_such_study", f"There is no study {', '.join(unknown[:5])}.")
        slices = sum(len(study.slices) for id in asked.studies if (study := studies[id]))
        job = jobs.add("infer", caller, ",".join(asked.studies), expected=slices)
        return enqueue(queue, jobs, "platform.infer", job)

    show_jobs(app, jobs)
    return finished(app)


async def _slice(imaging: Upstream, asked: Inference, caller: Caller) -> Floats:
    answer = await imaging.call("GET", f"/studies/{asked.study}/slices/{asked.slice}/tensor", caller)
    if answer.status_code == 404:
        raise problem(404, "no_such_slice", answer.json()["detail"])
    if answer.status_code != 200:
        raise away(502, "service_unavailable", f"The service imaging answers {answer.status_code}: try again later.")
    return np.frombuffer(answer.content, "<f4").reshape(EDGE, EDGE)
