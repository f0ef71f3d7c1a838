"""A node's agent in front of the live API, with a collector that bills every second since its last run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from metering.agent.loop import Agent
from metering.agent.portal_client import Portal
from metering.collectors import config
from metering.collectors.base import EVERYTHING, Collected, CollectedEvent, UnattributedTime
from metering.models import CollectorState

TOKEN = "tests-only-node-token"
ENTRY = {"name": "gpus", "kind": "nvml"}
BEGAN = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=5)


@dataclass(frozen=True)
class Ticking:
    """Bills acme for the time since its memory's instant, and as much to nobody."""

    memory: Mapping[str, Any] = field(default_factory=dict)
    name = "gpus"
    kind = "nvml"
    meter = "gpu_hours"
    interval_seconds = 60
    timeout_seconds = 5

    def collect(self, now: datetime, deadline: float) -> Collected:
        since = datetime.fromisoformat(self.memory["at"]) if self.memory else now
        micro = (now - since) // timedelta(microseconds=1)
        event = CollectedEvent("acme", "gpu_seconds", f"GPU-0:{since.isoformat()}", since, micro, {"model": "H100"})
        lost = UnattributedTime("GPU-0", BEGAN, micro)
        return Collected(
            CollectorState.OK, events=(event,) if micro else (), unattributed=(lost,) if micro else (), covered=frozenset({EVERYTHING}),
            memory={"at": now.isoformat()},
        )  # fmt: skip


@pytest.fixture
def agent_of(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Agent]:
    """Makes the agent of node-1; `minute` is what its clock says after BEGAN. Close it before making the next."""
    settings.COLLECTOR_TOKENS = {"node-1": TOKEN}
    monkeypatch.setattr(config, "build", lambda entry, *, memory, **_: Ticking(memory))

    def make(url: str, minute: float = 0, **more: Any) -> Agent:
        portal = Portal(url, more.pop("token", TOKEN), "node-1", timeout=10)
        clock = more.pop("clock", lambda: BEGAN + timedelta(minutes=minute))
        return Agent([ENTRY], "node-1", tmp_path / "buffer", portal, clock=clock, **more)

    return make
