from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from aurelius import areserve

from metering.models import Reservation


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
