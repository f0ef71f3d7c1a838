from __future__ import annotations

import pytest

from portal.embedded import RedisServer

from .stage import ClockedStage, Stage


@pytest.fixture
def stage(redis_server: RedisServer) -> Stage:
    """An empty Redis of our own, without a database behind it."""
    return Stage(redis_server.url)


@pytest.fixture
def clocked(redis_server: RedisServer) -> ClockedStage:
    """The same, with a clock to set."""
    return ClockedStage(redis_server.url)
