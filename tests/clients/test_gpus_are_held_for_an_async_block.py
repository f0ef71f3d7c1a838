from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from aurelius import AsyncClient, areserve

from metering.models import Reservation
from tests.clients.serving import PATIENCE, Scripted, wait_until


@pytest.mark.parametrize(("fails", "state"), [(False, "settled"), (True, "cancelled")])
def test_it_settles_or_cancels_on_leaving(
    portal: str, only: Callable[[], Reservation], fails: bool, state: str
) -> None:
    async def job() -> None:
        async with areserve(gpus=2, gpu_model="H100", expected_hours=3, labels={"project": "mammography"}) as r:
            assert r.reservation.state == "held"
            assert r.environment["AURELIUS_RESERVATION_ID"] == r.id
            if fails:
                raise RuntimeError("it did not start")
            await r.started()

    if fails:
        with pytest.raises(RuntimeError, match="did not start"):
            asyncio.run(job())
    else:
        asyncio.run(job())
    assert only().state == state


def test_whoever_is_cancelled_while_reserving_holds_nothing() -> None:
    """The answer comes when nobody waits for it any more."""
    asked, left = threading.Event(), threading.Event()

    def answer(number: int, request: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        asked.set()
        if request["path"] == "/api/v1/reservations":
            left.wait(PATIENCE)
        return 200, {}, {"id": "17", "state": "held"}

    async def job(client: AsyncClient) -> None:
        entering = asyncio.ensure_future(
            areserve(client=client, gpus=1, gpu_model="H100", expected_hours=1).__aenter__()
        )
        await asyncio.get_running_loop().run_in_executor(None, asked.wait, PATIENCE)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
        left.set()

    with Scripted(answer) as server:
        asyncio.run(job(AsyncClient(server.url, "k")))
        wait_until(lambda: len(server.asked) == 2, "it is not given back")
    assert server.asked[1]["path"] == "/api/v1/reservations/17/cancel"
