"""`uvicorn aurelius_platform.imaging.app:create --factory`: studies, slices and thumbnails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from celery import Celery
from fastapi import FastAPI, Query, Request, Response

from .. import tracing
from ..config import Config, from_environment
from ..jobs import Jobs
from ..queueing import celery_app
from ..usage import Usage
from ..web import ByCaller, enqueue, finished, problem, refused, service, show_jobs
from . import rendering
from .catalogue import Catalogue, Slice, Study

log = logging.getLogger(__name__)
RENDERER = "renderer-1"
PNG = "image/png"
MOST_DENSITY = 1e6
"""Farther from zero no window lies: pixels have at most 16 bits."""


def create(config: Config | None = None, queue: Celery | None = None, usage: Usage | None = None) -> FastAPI:
    """The application. Without arguments it is as the environment says."""
    config = config or from_environment("imaging")
    tracing.start(config)
    catalogue, jobs = Catalogue.load(config.catalogue), Jobs(config.jobs)
    queue, usage = queue or celery_app(config), usage or Usage.of(config)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with usage:
            yield

    app = service(config, lifespan)

    @app.exception_handler(rendering.UnreadableError)
    async def unreadable(request: Request, error: Exception) -> Response:
        log.error("%s", error, exc_info=error)
        return refused(500, "picture_unreadable", str(error))

    @app.get("/studies")
    async def studies(caller: ByCaller, modality: str = "", limit: Annotated[int, Query(ge=1, le=200)] = 50, offset: Annotated[int, Query(ge=0)] = 0) -> dict[str, Any]:  # fmt: skip
        """The studies, of one modality if it is named."""
        found = catalogue.of_modality(modality)
        return {"count": len(found), "results": [study.summary() for study in found[offset : offset + limit]]}

    @app.get("/studies/{id}")
    async def study(id: str, caller: ByCaller) -> dict[str, Any]:
        return _study(catalogue, id).summary()

    @app.get("/studies/{id}/slices/{number}.png")
    async def picture(
        id: str,
        number: int,
        caller: ByCaller,
        center: Annotated[float | None, Query(ge=-MOST_DENSITY, le=MOST_DENSITY)] = None,
        width: Annotated[float | None, Query(gt=0, le=MOST_DENSITY)] = None,
    ) -> Response:
        """A slice, windowed as asked for or as the file says."""
        part = _slice(catalogue, id, number)
        with tracing.span("imaging.render", study=id):
            content = await asyncio.to_thread(rendering.png, part, center, width)
        usage.record(caller, "images_rendered", model=RENDERER)
        return Response(content, media_type=PNG, headers={"Cache-Control": "private, max-age=60"})

    @app.get("/studies/{id}/slices/{number}/tensor")
    async def tensor(id: str, number: int, caller: ByCaller) -> Response:
        """For the ml service: the slice as its model sees it."""
        part = _slice(catalogue, id, number)
        return Response(await asyncio.to_thread(rendering.tensor, part), media_type="application/octet-stream")

    @app.post("/studies/{id}/thumbnails", status_code=202)
    def thumbnails(id: str, caller: ByCaller) -> dict[str, Any]:
        """Have the thumbnails of a study made; the job says how far it is."""
        job = jobs.add("thumbnails", caller, id, expected=len(_study(catalogue, id).slices))
        return enqueue(queue, jobs, "platform.thumbnails", job)

    @app.get("/studies/{id}/slices/{number}/thumbnail.png")
    async def thumbnail(id: str, number: int, caller: ByCaller) -> Response:
        _slice(catalogue, id, number)
        path = config.thumbnails / f"{id}-{number}.png"
        if not path.exists():
            raise problem(404, "no_thumbnail_yet", "It is not made yet: POST …/thumbnails makes it.")
        return Response(path.read_bytes(), media_type=PNG)

    show_jobs(app, jobs)
    return finished(app)


def _study(catalogue: Catalogue, id: str) -> Study:
    study = catalogue.get(id)
    if study is None:
        raise problem(404, "not_found", "There is no such study.")
    return study


def _slice(catalogue: Catalogue, id: str, number: int) -> Slice:
    slices = _study(catalogue, id).slices
    if not 0 <= number < len(slices):
        raise problem(404, "not_found", f"The study has slices 0 to {len(slices) - 1}.")
    return slices[number]
