"""The client and reservations for asyncio: the same calls, made in threads. None of them is on a hot path; decisions have deciders."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from .client import Client, Problem, Unavailable
from .reservations import Estimate, Job, Reservation, estimate, log

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")


async def _in_thread(call: Callable[..., T], *args: Any, **options: Any) -> T:
    return await asyncio.get_running_loop().run_in_executor(None, partial(call, *args, **options))


class AsyncClient:
    """As Client. A cancelled call may still take effect: writes carry an Idempotency-Key, so repeating them is safe."""

    def __init__(self, url: str = "", key: str = "", *, timeout: float = 10.0, attempts: int = 4) -> None:
        """As Client. Raises ValueError."""
        self.blocking: Client = Client(url, key, timeout=timeout, attempts=attempts)

    async def get(self, path: str) -> Any:
        """The answer to GET /api/v1/<path>."""
        return await _in_thread(self.blocking.get, path)

    async def post(self, path: str, body: Mapping[str, Any] | None = None, *, idempotency_key: str = "") -> Any:
        """The answer to POST /api/v1/<path>; every try carries the same Idempotency-Key."""
        return await _in_thread(self.blocking.post, path, body, idempotency_key=idempotency_key)

    async def send(self, method: str, path: str, body: Any = None, *, idempotency_key: str = "") -> Any:
        """As Client.send."""
        return await _in_thread(self.blocking.send, method, path, body, idempotency_key=idempotency_key)

    async def estimate(self, **job: Unpack[Job]) -> Estimate:
        """As `estimate`."""
        return await _in_thread(estimate, self.blocking, **job)


class AsyncReserving:
    """`async with areserve(…) as r`: see `areserve`."""

    reservation: Reservation

    def __init__(self, client: AsyncClient | None, every: float | None, key: str, job: Job) -> None:
        self._client, self._every, self._key, self._job = client, every, key, job
        self._started = False
        self.lost: str = ""
        """The state in which the portal ended the reservation while the job runs; "" while it is held."""

    async def __aenter__(self) -> AsyncReserving:
        """Reserve. Raises Refused: nothing is held then. Cancelled meanwhile, what the portal grants all the same is given back."""
        client = self._client or AsyncClient()
        loop = asyncio.get_running_loop()
        make = partial(Reservation.make, client.blocking, idempotency_key=self._key, **self._job)
        making = loop.run_in_executor(None, make)
        try:
            self.reservation = await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(_give_back)
            raise
        self._began = asyncio.get_running_loop().time()
        self._beats = asyncio.ensure_future(self._beat())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._beats.cancel()
        seconds = asyncio.get_running_loop().time() - self._began
        try:
            if error is not None and not self._started:
                await asyncio.shield(_in_thread(self.reservation.cancel))
            else:
                await asyncio.shield(_in_thread(self.reservation.settle, seconds))
        except (Problem, Unavailable) as failure:
            log.error("the reservation %s could not be ended: %s", self.id, failure)

    @property
    def id(self) -> str:
        return self.reservation.id

    @property
    def environment(self) -> dict[str, str]:
        """For the job's processes."""
        return self.reservation.environment

    async def started(self) -> None:
        """The job runs: a failure from now on is settled, not cancelled. Raises nothing that the portal says; see `lost`."""
        self._started = True
        await self._send()

    async def _beat(self) -> None:
        every = self._every or float(self.reservation.data.get("heartbeat_every", 60))
        while not self.lost:
            await asyncio.sleep(every)
            await self._send()

    async def _send(self) -> None:
        """A job that runs goes on, whatever becomes of its reservation."""
        try:
            await _in_thread(self.reservation.heartbeat)
        except Unavailable as error:
            log.warning("no heartbeat: %s", error)
        except Problem as problem:
            if problem.status in (404, 409):
                self.lost = str(problem.body.get("state", "gone"))
                log.error("the reservation %s has ended: %s", self.id, problem)
            else:
                log.warning("no heartbeat: %s", problem)


def _give_back(making: asyncio.Future[Reservation]) -> None:
    """Nobody waits for this reservation any more: it need not hold GPUs until it lapses."""
    if making.cancelled() or making.exception() is not None:
        return
    reservation = making.result()

    def cancel() -> None:
        try:
            reservation.cancel()
        except (Problem, Unavailable) as failure:
            log.error("the reservation %s could not be ended: %s", reservation.id, failure)

    threading.Thread(target=cancel, name=f"giving back {reservation.id}").start()


def areserve(
    *,
    client: AsyncClient | None = None,
    heartbeat_every: float | None = None,
    idempotency_key: str = "",
    **job: Unpack[Job],
) -> AsyncReserving:
    """`async with areserve(gpus=2, gpu_model="H100", expected_hours=12) as r:` as `reserve`, on the event loop."""
    return AsyncReserving(client, heartbeat_every, idempotency_key, job)
