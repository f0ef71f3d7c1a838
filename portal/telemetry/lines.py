"""Log lines: each names its trace and span, none holds a secret, and warnings are counted."""

from __future__ import annotations

import logging
from typing import Any

import structlog

from portal.telemetry.redaction import scrub
from tenants.spans import ids

OURS = frozenset({"tenants", "metering", "portal"})
_EXTRA = structlog.stdlib.ExtraAdder()
LEVELS = {logging.WARNING: "warning", logging.ERROR: "error", logging.CRITICAL: "critical"}


def add_trace(logger: object, method: str, event: dict[str, Any]) -> dict[str, Any]:
    """structlog processor: `trace_id` and `span_id` while there is a trace."""
    if here := ids():
        event["trace_id"], event["span_id"] = here
    return event


def add_facts(logger: Any, method: str, event: dict[str, Any]) -> dict[str, Any]:
    """structlog processor: what our own modules tell beside the message (`extra=…`): which tenant, which reason, which server.

    Libraries put requests and task arguments there; theirs are left out.
    """
    record = event.get("_record")
    if record is None or record.name.partition(".")[0] not in OURS:
        return event
    return dict(_EXTRA(logger, method, event))


def redact(logger: object, method: str, line: str) -> str:
    """The last structlog processor: the written line without secrets."""
    return scrub(line)


class Counting(logging.Handler):
    """Counts lines of level warning and above."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        from portal.telemetry.metrics import LOG_EVENTS

        LOG_EVENTS.labels(LEVELS.get(record.levelno, "error")).inc()
