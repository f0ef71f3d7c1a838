"""What was done, for whom: counted here for moments, told to the portal as usage events by its own client (batches, retries, disk spool)."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from aurelius import Client
from aurelius.events import Events
from aurelius.spool import Spool, SpoolFullError

from . import metrics
from .accounts import Accounts, Caller
from .config import Config
from .jobs import Job

log = logging.getLogger(__name__)
EVERY = 2.0
"""Seconds in which like uses become one event. A process that is killed loses at most those."""
Labels = tuple[str, str, str, str, str]


class Usage:
    """Usage events of one service, labelled with model, user and project. A context manager: leaving it sends what waits."""

    def __init__(self, service: str, events: Events | None, every: float = EVERY) -> None:
        """Without `events` nothing is reported."""
        self._source, self._events, self._every = f"/platform/{service}", events, every
        self._counts: Counter[Labels] = Counter()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._told = 0
        self._thread: threading.Thread | None = None

    @classmethod
    def of(cls, config: Config) -> Usage:
        """As the settings say: to PLATFORM_PORTAL_URL, with each tenant's own key, by way of a spool under `data`."""
        if not config.portal_url:
            return cls(config.service, None)
        accounts = Accounts.load(config.accounts)
        events = Events(
            Client(config.portal_url, "each-tenant-has-its-own"),
            source=f"/platform/{config.service}",
            spool=Spool.free(Path(config.data) / "spool" / config.service),
            key_of=_keys(accounts),
            on_rejected=_rejected,
        )
        return cls(config.service, events)

    def record(self, caller: Caller, type: str, quantity: int = 1, *, model: str) -> None:
        """Count a use. `type` is a meter's event type; `model` names what did the work."""
        with self._lock:
            self._counts[(caller.tenant, type, model, caller.user, caller.project)] += quantity

    def record_job(self, job: Job, type: str, quantity: int, *, model: str) -> None:
        """What a job used, told at once under the job's own id and time: a job that is done again after a crash counts once."""
        if self._events is None:
            return
        at = datetime.fromisoformat(job.at)
        try:
            self._events.send(
                type, quantity, id=job.id, time=at, tenant=job.tenant, model=model, user=job.user, project=job.project
            )
        except (SpoolFullError, OSError) as error:
            log.error("%s %s of %s wait: %s", quantity, type, job.tenant, error)
            self.record(job.caller, type, quantity, model=model)

    def flush(self) -> None:
        """Hand over what was counted. What the spool does not take stays counted, and goes again next time."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if self._events is None:
            return
        for labels, quantity in counts.items():
            tenant, type, model, user, project = labels
            try:
                self._events.send(type, quantity, tenant=tenant, model=model, user=user, project=project)
            except (SpoolFullError, OSError) as error:
                log.error("%s %s of %s wait: %s", quantity, type, tenant, error)
                with self._lock:
                    self._counts[labels] += quantity
        accepted = self._events.accepted
        metrics.USAGE_EVENTS.labels("accepted").inc(accepted - self._told)
        self._told = accepted

    def __enter__(self) -> Usage:
        self._thread = threading.Thread(target=self._run, name="usage", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        self.flush()
        for (tenant, type, *_), quantity in self._counts.items():
            metrics.USAGE_EVENTS.labels("lost").inc()
            log.error("%s %s of %s are lost with this process: the spool did not take them", quantity, type, tenant)
        if self._events is not None:
            self._events.close()

    def _run(self) -> None:
        while not self._over.wait(self._every):
            self.flush()


def _keys(accounts: Accounts) -> Any:
    def key_of(tenant: str) -> str:
        key = accounts.service_key(tenant)
        if not key:
            raise KeyError(tenant)
        return key

    return key_of


def _rejected(record: Any, reason: Any) -> None:
    metrics.USAGE_EVENTS.labels("refused").inc()
