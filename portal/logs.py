"""Structured logs: JSON lines in production, readable lines elsewhere. No frame locals, no bodies, no credentials; with the ids of the trace."""

from __future__ import annotations

import os
from typing import Any

import structlog

from portal import env
from portal.telemetry import lines

_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    lines.add_trace,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]
_JSON = (
    os.environ.get("LOG_FORMAT", "json" if os.environ.get("PORTAL_ENV", "production") == "production" else "plain")
    == "json"
)
_RENDERER: Any = (
    structlog.processors.JSONRenderer()
    if _JSON
    # structlog prints the locals of every frame by default, keys and passwords among them.
    else structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
)

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "default": {
            "()": structlog.stdlib.ProcessorFormatter,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *([structlog.processors.format_exc_info] if _JSON else []),
                _RENDERER,
                lines.redact,
            ],
            "foreign_pre_chain": [*_SHARED, lines.add_facts],
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "default"}},
    "root": {
        "handlers": ["console"],
        "level": env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")),
    },
    "loggers": {
        "django.server": {"handlers": ["console"], "propagate": False},
        "fontTools": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},  # a line for every statement to ClickHouse says nothing that its span does not
        "weasyprint": {"level": "ERROR"},
    },
}


def configure() -> None:
    """Route structlog through the standard library's handlers."""
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
