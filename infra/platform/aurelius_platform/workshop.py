"""What the worker does with its jobs: thumbnails, indexes, and inference while a GPU is held at the portal."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from aurelius import Client, Problem, Unavailable, reserve

from . import metrics, tracing
from .accounts import Accounts, Caller
from .config import Config
from .imaging import rendering
from .imaging.catalogue import Catalogue, Slice
from .jobs import DONE, FAILED, QUEUED, Job, Jobs
from .ml.model import EDGE, NAME, Model
from .search import index
from .search.corpus import reports
from .usage import Usage

BATCH = 32
EXPECTED_HOURS = "0.01"
Progress = Callable[[int, int], None]


class Workshop:
    """What the tasks work with, made once in each worker."""

    def __init__(self, config: Config, usage: Usage | None = None) -> None:
        self.config = config
        self.jobs, self.catalogue = Jobs(config.jobs), Catalogue.load(config.catalogue)
        self.model, self.accounts = Model(config.model), Accounts.load(config.accounts)
        self.usage = usage or Usage.of(config)

    def run(self, id: str, work: Callable[[Job, Progress], dict[str, Any]], *, last: bool = True) -> None:
        """Do a job and keep its result. A job that fails says why and raises, so that the queue counts it as failed.

        Without the portal it waits in the queue again, unless this was the `last` try.
        """
        job = self.jobs.get(id)
        if job is None or job.state == DONE:  # delivered twice
            return
        tracing.tag(job.caller)
        try:
            result = work(job, lambda processed, expected: self.jobs.progress(id, processed, expected))
        except Exception as error:
            waits = isinstance(error, Unavailable) and not last
            self.jobs.finish(id, QUEUED if waits else FAILED, _reason(error))
            raise
        self.jobs.finish(id, DONE, result)

    # --------------------------------------------------------------------------------------------------- the tasks

    def thumbnails(self, job: Job, progress: Progress) -> dict[str, Any]:
        """One small picture for every slice of a study."""
        slices = self._slices(job.subject)
        self.config.thumbnails.mkdir(parents=True, exist_ok=True)
        for number, part in enumerate(slices):
            content = rendering.png(part, edge=rendering.THUMBNAIL_EDGE)
            fresh = self.config.thumbnails / f".{job.id}-{number}"
            fresh.write_bytes(content)
            fresh.replace(self.config.thumbnails / f"{job.subject}-{number}.png")
            progress(number + 1, len(slices))
        self.usage.record_job(job, "images_rendered", len(slices), model="thumbnailer-1")
        return {"thumbnails": len(slices)}

    def index(self, job: Job, progress: Progress) -> dict[str, Any]:
        """A whole new index of the corpus."""

        def both(processed: int, expected: int) -> None:
            metrics.INDEXED.labels(job.subject).set(processed)
            metrics.TO_INDEX.labels(job.subject).set(expected)
            progress(processed, expected)

        with tracing.span("search.index", index=job.subject):
            count = index.build(self.config.indexes, job.subject, reports(job.expected), job.expected, both)
        return {"documents": count}

    def infer(self, job: Job, progress: Progress) -> dict[str, Any]:
        """Every slice of some studies, while a GPU is held at the portal. Raises Refused when it lets none go."""
        slices = [part for study in job.subject.split(",") for part in self._slices(study)]
        found: dict[str, int] = {}
        with self._reserved(job.caller) as held:
            for at in range(0, len(slices), BATCH):
                began = time.perf_counter()
                batch = [np.frombuffer(rendering.tensor(part), "<f4") for part in slices[at : at + BATCH]]
                with tracing.span("ml.batch", model=NAME, size=len(batch)):
                    answers = self.model.run(np.stack(batch).reshape(-1, 1, EDGE, EDGE))
                metrics.INFERENCE_BATCH.labels(NAME).observe(len(batch))
                metrics.INFERENCE_SECONDS.labels(NAME).observe(time.perf_counter() - began, tracing.exemplar())
                for answer in answers:
                    found[answer.label] = found.get(answer.label, 0) + 1
                progress(min(at + BATCH, len(slices)), len(slices))
        self.usage.record_job(job, "inferences", len(slices), model=NAME)
        return {"slices": len(slices), "labels": found, "reservation": held}

    def _slices(self, study: str) -> tuple[Slice, ...]:
        found = self.catalogue.get(study)
        if found is None:
            raise LookupError(f"There is no study {study}.")
        return found.slices

    def _reserved(self, caller: Caller) -> Any:
        if not self.config.portal_url:
            return _NoPortal()
        client = Client(self.config.portal_url, self.accounts.service_key(caller.tenant))
        labels = {"inference_model": NAME, "user": caller.user, "project": caller.project}
        return _Held(reserve(client=client, gpus=1, gpu_model=self.config.gpu_model, expected_hours=EXPECTED_HOURS, labels=labels))  # fmt: skip


def _reason(error: Exception) -> dict[str, str]:
    """Why a job did not end well, in words and codes for whoever asked for it: nothing of addresses and classes in here."""
    if isinstance(error, Problem):
        return {"code": error.code, "detail": str(error)}
    if isinstance(error, LookupError):
        return {"code": "no_such_study", "detail": str(error.args[0])}
    if isinstance(error, rendering.UnreadableError):
        return {"code": "picture_unreadable", "detail": str(error)}
    if isinstance(error, Unavailable):
        return {"code": "portal_unavailable", "detail": "The portal, which lends the GPUs, does not answer."}
    return {"code": "internal_error", "detail": "This is a fault of the worker, not of the request; its log says more."}


class _Held:
    """A reservation around a block: one GPU, given back at what was really held."""

    def __init__(self, reserving: Any) -> None:
        self._reserving = reserving

    def __enter__(self) -> str:
        with tracing.span("portal.reserve"):
            self._reserving.__enter__()
        self._reserving.started()
        return str(self._reserving.id)

    def __exit__(self, *what: Any) -> None:
        with tracing.span("portal.settle"):
            self._reserving.__exit__(*what)


class _NoPortal:
    """Without a portal nothing is reserved."""

    def __enter__(self) -> str:
        return ""

    def __exit__(self, *what: Any) -> None:
        return None
