"""Dynamic batching: requests that come together are computed together; a lone one waits for moments only."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Generic, TypeVar

In = TypeVar("In")
Out = TypeVar("Out")
LARGEST = 32
WAIT = 0.004
QUEUE = 1_000


class OverloadedError(RuntimeError):
    """More requests wait than can be answered soon."""


class Batcher(Generic[In, Out]):
    """Runs `work` on batches of what `ask` is given; one batch at a time, in a thread."""

    def __init__(
        self, work: Callable[[list[In]], list[Out]], *, largest: int = LARGEST, wait: float = WAIT, most: int = QUEUE
    ) -> None:
        """A batch begins when `largest` requests are there, or `wait` seconds after its first; beyond `most` waiting, `ask` refuses."""
        self._work, self._largest, self._wait, self._most = work, largest, wait, most
        self._waiting: asyncio.Queue[tuple[In, asyncio.Future[Out]]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def ask(self, item: In) -> Out:
        """The answer to one item. Raises OverloadedError, or what `work` raised."""
        if self._waiting.qsize() >= self._most:
            raise OverloadedError(f"{self._most} requests wait already")
        answer: asyncio.Future[Out] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((item, answer))
        return await answer

    async def __aenter__(self) -> Batcher[In, Out]:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            batch = await self._batch()
            try:
                answers = await asyncio.to_thread(self._work, [item for item, _ in batch])
            except Exception as error:
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            for (_, answer), found in zip(batch, answers, strict=True):
                if not answer.done():  # its client may have gone
                    answer.set_result(found)

    async def _batch(self) -> list[tuple[In, asyncio.Future[Out]]]:
        batch = [await self._waiting.get()]
        deadline = asyncio.get_running_loop().time() + self._wait
        while len(batch) < self._largest:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0 and self._waiting.empty():
                break
            try:
                batch.append(await asyncio.wait_for(self._waiting.get(), max(left, 0)) if left > 0 else self._waiting.get_nowait())  # fmt: skip
            except (TimeoutError, asyncio.QueueEmpty):
                break
        return batch
