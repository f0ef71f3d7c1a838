"""The decision endpoint for the benchmark: the product's ASGI application over a staged Redis, without a database."""

from __future__ import annotations

import os

from bench.stage import NoBuilder
from tenants.enforcement.config import Config
from tenants.enforcement.counting.counts import ProcessCounts
from tenants.enforcement.http.endpoint import DecisionEndpoint

config = Config(os.environ["BENCH_REDIS_URL"], os.environ["BENCH_PEPPER"].encode(), timeout=2.0, failure_policy="deny")
app = DecisionEndpoint(config, ProcessCounts(), NoBuilder(), readiness=lambda: None)
