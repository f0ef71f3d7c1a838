"""kill -9 of the agent before and after each of its steps on disk and on the network, against the live API."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.db.models import Sum

from metering.models import CollectorStatus, GpuDevice, UnattributedGpuTime, UsageEvent
from tests.metering.agent.conftest import BEGAN

STEPS = ((os, "fsync"), (os, "replace"), (Path, "unlink"), (httpx.Client, "post"))


def killed_at(step: int, work: Callable[[], Any]) -> bool:
    """Run `work` in a child that kills itself at its `step`-th step; False when it ended before that."""
    child = os.fork()
    if child == 0:
        done = [0]

        def stepping(call: Callable[..., Any]) -> Callable[..., Any]:
            def stepped(*args: Any, **kwargs: Any) -> Any:
                _die_at(step, done)
                answer = call(*args, **kwargs)
                _die_at(step, done)
                return answer

            return stepped

        for owner, name in STEPS:
            setattr(owner, name, stepping(getattr(owner, name)))
        try:
            work()
        except BaseException:
            os._exit(2)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0, "the child failed"
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def _die_at(step: int, done: list[int]) -> None:
    done[0] += 1
    if done[0] == step:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.django_db(transaction=True)
def test_every_second_is_billed_once(live_server: Any, acme: Any, agent_of: Callable[..., Any]) -> None:
    GpuDevice.objects.create(node="node-1", uuid="GPU-0", model="H100", name="x")
    agent_of(live_server.url, 0).once()
    minute, step = 0, 0
    while True:
        minute, step = minute + 1, step + 1

        def work(minute: int = minute) -> None:
            agent_of(live_server.url, minute).once()

        if not killed_at(step, work):
            break
    assert step > 12, "there were steps to be killed at"
    last = agent_of(live_server.url, minute + 1)
    assert last.once() == {"gpus": "ok"}

    seconds = 60 * (minute + 1)
    found = UsageEvent.objects.filter(tenant=acme, meter="gpu_hours")
    assert found.aggregate(sum=Sum("quantity_micro"))["sum"] == seconds * 10**6
    assert UnattributedGpuTime.objects.aggregate(sum=Sum("seconds"))["sum"] == seconds  # added up, not keyed by an id
    status = CollectorStatus.objects.get()
    assert (status.runs, status.buffered) == (len(set(found.values_list("event_id"))) + 1, 0)
    assert status.last_run_at > BEGAN
