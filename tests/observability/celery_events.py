"""What celery-exporter exports, for tests: its names and labels, counted from a real worker's events and the broker's real queues.

celery-exporter itself comes as a container only (the package of that name is another program with other names), so this is a stub at the
wire; what it counts is real.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

from portal.celery import app

STATES = {
    "task-received": "received",
    "task-started": "started",
    "task-succeeded": "succeeded",
    "task-failed": "failed",
    "task-retried": "retried",
}
BUCKETS = (0.1, 1.0, 10.0, 60.0)


class Events:
    """Counts until closed."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._names: dict[str, str] = {}
        self._workers: set[str] = set()
        self._ended = threading.Event()
        self.ready = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def page(self) -> bytes:
        """As /metrics of celery-exporter."""
        with app.connection_for_read() as connection:
            waiting = connection.default_channel.client.llen("celery")
        started, ended = self._sum("started"), self._sum("succeeded") + self._sum("failed")
        lines = [f"{name} {value}" for name, value in self._counts.items()]
        lines += [f'celery_worker_up{{hostname="{name}"}} 1' for name in self._workers]
        lines += [
            f'celery_queue_length{{queue_name="celery"}} {waiting}',
            f"celery_worker_tasks_active {max(0, started - ended)}",
        ]
        return ("\n".join(lines) + "\n").encode()

    def _sum(self, state: str) -> int:
        return sum(value for name, value in list(self._counts.items()) if name.startswith(f"celery_task_{state}_total"))

    def _listen(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(OSError), app.connection_for_read() as connection:
                receiver: Any = app.events.Receiver(connection, handlers={"*": self._take})
                with contextlib.suppress(socket.timeout):
                    for _ in receiver.itercapture(limit=None, timeout=1, wakeup=False):
                        self.ready.set()

    def _take(self, event: dict[str, Any]) -> None:
        self._workers.add(event.get("hostname", ""))
        if event["type"] == "task-received":
            self._names[event["uuid"]] = event["name"]
        name, state = self._names.get(event.get("uuid", ""), ""), STATES.get(event["type"])
        if not (name and state):
            return
        labels = f'name="{name}",queue_name="celery"'
        more = f',exception="{event["exception"].partition("(")[0]}"' if state == "failed" else ""
        self._counts[f"celery_task_{state}_total{{{labels}{more}}}"] += 1
        if state == "succeeded":
            for bound in (*BUCKETS, float("inf")):
                le = "+Inf" if bound == float("inf") else f"{bound:g}"
                self._counts[f'celery_task_runtime_bucket{{{labels},le="{le}"}}'] += event["runtime"] <= bound

    def close(self) -> None:
        self._ended.set()
        self._thread.join(10)


@contextlib.contextmanager
def events() -> Iterator[Events]:
    found = Events()
    try:
        yield found
    finally:
        found.close()
