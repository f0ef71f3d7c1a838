"""How an engine on another server answers, and how events get there. prometheus_client only; PostgreSQL as the engine has no series."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

PAUSED = Gauge(
    "portal_event_store_paused",
    "1 while this process spares the ledger's engine, as of when it was last needed.",
    ["engine"],
    multiprocess_mode="livesum",
)
UNANSWERED = Counter(
    "portal_event_store_unanswered",
    "Statements that the ledger's engine did not answer: timeout, refused, closed, gateway. Those that were spared are not counted.",
    ["engine", "reason"],
)
MOVED = Counter("portal_event_store_moved_events", "Usage events moved on from PostgreSQL.", ["engine"])
NOT_MOVED = Counter("portal_event_store_move_failures", "Attempts to move usage events on that failed.", ["engine"])
