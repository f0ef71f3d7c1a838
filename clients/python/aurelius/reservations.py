"""GPUs reserved before a job starts, kept alive while it runs, settled when it ends."""

from __future__ import annotations

import logging
import os
import threading
import time
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypedDict, Union

from .client import Client, Problem, Unavailable

ENVIRONMENT = "AURELIUS_RESERVATION_ID"
"""A job's processes carry this, so that collectors know what their GPUs are reserved under."""

Hours = Union[int, float, str, Decimal]
log: logging.Logger = logging.getLogger("aurelius")

if TYPE_CHECKING:
    from typing_extensions import Unpack  # type checkers bring it along; at run time nobody needs it


class _Needed(TypedDict):
    gpus: int
    gpu_model: str
    expected_hours: Hours


class Job(_Needed, total=False):
    """What is reserved or priced: so many GPUs of a model (as prices name it), wall-clock hours in all, the part of each GPU, labels."""

    fraction: Hours
    labels: Mapping[str, str]
    ttl_seconds: int


@dataclass(frozen=True)
class Estimate:
    """What a job would cost: GPU hours, money as decimal text, and the price version it goes by."""

    gpu_hours: float
    amount: str
    currency: str
    price_version: str


def estimate(client: Client, **job: Unpack[Job]) -> Estimate:
    """Price a job (gpus, gpu_model, expected_hours, fraction, labels) without holding anything."""
    body = client.post("estimates", _job(**job))
    return Estimate(float(body["gpu_hours"]), body["amount"], body["currency"], body["price_version"])


@dataclass
class Reservation:
    """One reservation. `data` is what the portal said of it last."""

    client: Client
    data: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def make(cls, client: Client, *, idempotency_key: str = "", **job: Unpack[Job]) -> Reservation:
        """Reserve gpus of gpu_model for expected_hours (fraction, labels, ttl_seconds). Raises Refused."""
        return cls(client, client.post("reservations", _job(**job), idempotency_key=idempotency_key))

    @classmethod
    def get(cls, client: Client, id: str) -> Reservation:
        """The reservation with that id. Raises Problem not_found."""
        return cls(client, client.get(_path(id)))

    @property
    def id(self) -> str:
        return str(self.data["id"])

    @property
    def state(self) -> str:
        return str(self.data["state"])

    @property
    def environment(self) -> dict[str, str]:
        """For the job's processes."""
        return {**os.environ, ENVIRONMENT: self.id}

    def heartbeat(self) -> None:
        """The GPUs are held still. Raises Problem conflict when the reservation has ended."""
        self._keep(self.client.post(_path(self.id, "heartbeat")))

    def extend(self, expected_hours: Hours) -> None:
        """Expect so many hours in all. Raises Refused."""
        self._keep(self.client.post(_path(self.id, "extend"), {"expected_hours": str(expected_hours)}))

    def settle(self, seconds: float | None = None) -> None:
        """The job has ended: after so many seconds, or now."""
        self._keep(self.client.post(_path(self.id, "settle"), {} if seconds is None else {"seconds": f"{seconds:.6f}"}))

    def cancel(self) -> None:
        """The job is given up; what was not confirmed is not billed."""
        self._keep(self.client.post(_path(self.id, "cancel")))

    def _keep(self, data: Mapping[str, Any]) -> None:
        self.data |= data


class Heartbeats:
    """A thread that keeps a reservation alive until `stop`. `ended` says the state when the portal has ended it meanwhile."""

    def __init__(self, reservation: Reservation, every: float | None = None) -> None:
        self.reservation: Reservation = reservation
        self.every: float = every or float(reservation.data.get("heartbeat_every", 60))
        self.ended: str = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"heartbeats of {reservation.id}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def beat(self) -> None:
        """Send one. Never raises what the portal says: a job that runs goes on, whatever becomes of its reservation."""
        try:
            self.reservation.heartbeat()
        except Unavailable as error:  # the next one may get through
            log.warning("no heartbeat: %s", error)
        except Problem as problem:
            if problem.status in (404, 409):
                self.ended = str(problem.body.get("state", "gone"))
                log.error("the reservation %s has ended: %s", self.reservation.id, problem)
            else:
                log.warning("no heartbeat: %s", problem)

    def _run(self) -> None:
        while not self.ended and not self._stop.wait(self.every):
            self.beat()


class Reserving:
    """`with reserve(…) as r`: see `reserve`."""

    reservation: Reservation
    heartbeats: Heartbeats

    def __init__(self, client: Client | None, every: float | None, key: str, job: Job) -> None:
        self._client, self._every, self._key, self._job = client, every, key, job
        self._started_at: float | None = None

    def __enter__(self) -> Reserving:
        """Reserve. Raises Refused: nothing is held then."""
        self.reservation = Reservation.make(self._client or Client(), idempotency_key=self._key, **self._job)
        self._began = time.monotonic()
        self.heartbeats = Heartbeats(self.reservation, self._every)
        self.heartbeats.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.heartbeats.stop()
        seconds = time.monotonic() - self._began
        try:
            if error is not None and self._started_at is None:
                self.reservation.cancel()
            else:
                self.reservation.settle(seconds)
        except (Problem, Unavailable) as failure:
            # It lapses by itself at its last heartbeat; the job's own outcome matters more than the accounting.
            log.error("the reservation %s could not be ended: %s", self.reservation.id, failure)

    @property
    def id(self) -> str:
        return self.reservation.id

    @property
    def environment(self) -> dict[str, str]:
        """For the job's processes."""
        return self.reservation.environment

    @property
    def lost(self) -> str:
        """The state in which the portal ended the reservation while the job runs; "" while it is held."""
        return self.heartbeats.ended

    def started(self) -> None:
        """The job runs: a failure from now on is settled, not cancelled. Raises nothing that the portal says; see `lost`."""
        self._started_at = time.monotonic()
        self.heartbeats.beat()


def reserve(
    *, client: Client | None = None, heartbeat_every: float | None = None, idempotency_key: str = "", **job: Unpack[Job]
) -> Reserving:
    """`with reserve(gpus=2, gpu_model="H100", expected_hours=12) as r:` holds GPUs for the block.

    Heartbeats are sent by a thread. On leaving, what was held is settled. An exception before `r.started()` means that the job did not
    start: the reservation is cancelled, and only what heartbeats confirmed is billed. Exceptions pass through.
    With an `idempotency_key` of your own a job that is started again within a day holds the same reservation, not a second one.
    """
    return Reserving(client, heartbeat_every, idempotency_key, job)


def _job(
    *,
    gpus: int,
    gpu_model: str,
    expected_hours: Hours,
    fraction: Hours = 1,
    labels: Mapping[str, str] | None = None,
    ttl_seconds: int | None = None,
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "gpus": gpus,
        "gpu_model": gpu_model,
        "expected_hours": str(expected_hours),
        "fraction": str(fraction),
        "labels": dict(labels or {}),
    }
    return body if ttl_seconds is None else body | {"ttl_seconds": ttl_seconds}


def _path(id: str, verb: str = "") -> str:
    return "reservations/" + urllib.parse.quote(id, safe="") + (f"/{verb}" if verb else "")
