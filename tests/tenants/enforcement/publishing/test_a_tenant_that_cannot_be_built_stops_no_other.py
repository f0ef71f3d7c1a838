from __future__ import annotations

from tenants.enforcement.deciding.blocking import Enforcer
from tenants.enforcement.deciding.pipelined import AsyncEnforcer

from ..stage import Stage


class Absent:
    """Says that it has built the tenant, which then still is not there."""

    def build(self, slug: str) -> None:
        return None


def made_up(stage: Stage) -> bytes:
    """A well-formed key of a tenant that does not exist."""
    return stage.key().replace(b"_acme_", b"_nobody_")


def test_at_the_blocking_door(stage: Stage) -> None:
    stage.tenant()
    key, stranger = stage.key(), made_up(stage)
    enforcer = Enforcer(stage.config(failure_policy="deny"), stage.counts, Absent())
    assert {enforcer.consume(stranger).code for _ in range(10)} == {"enforcement_unavailable"}
    assert enforcer.consume(key).allowed


async def test_at_the_asyncio_door(stage: Stage) -> None:
    stage.tenant()
    key, stranger = stage.key(), made_up(stage)
    enforcer = AsyncEnforcer(stage.config(failure_policy="deny"), stage.counts, Absent(), "asgi")
    assert {(await enforcer.consume(stranger)).code for _ in range(10)} == {"enforcement_unavailable"}
    assert (await enforcer.consume(key)).allowed
