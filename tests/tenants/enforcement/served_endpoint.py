"""The decision endpoint over a staged Redis, for tests that need it behind a real server."""

from __future__ import annotations

import os

from tenants.enforcement.config import Config
from tenants.enforcement.counting.counts import ProcessCounts
from tenants.enforcement.errors import RedisUnavailableError
from tenants.enforcement.http.endpoint import DecisionEndpoint

from .stage import PEPPER


class NoBuilder:
    def build(self, slug: str) -> None:
        raise RedisUnavailableError("ledger", "the stage builds beforehand")


config = Config(os.environ["STAGE_REDIS_URL"], PEPPER, timeout=2.0, route_classes={"default": 1, "search": 3})
app = DecisionEndpoint(config, ProcessCounts(), NoBuilder(), readiness=lambda: None)
