"""Numbered system checks of what metering reads from the settings. E: no command runs until it is put right."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core import checks

from metering.collectors import config
from metering.event_store.client import connect
from metering.housekeeping import LEAST_MONTHS


def collectors(**_: Any) -> list[checks.CheckMessage]:
    """metering.E001: a field of settings.COLLECTORS is missing or wrong; metering.E002: a field is unknown."""
    return [
        checks.Error(problem.text, hint=problem.hint, id=f"metering.E{problem.number:03d}")
        for problem in config.problems(settings.COLLECTORS)
    ]


def ledger(**_: Any) -> list[checks.CheckMessage]:
    """metering.E003: CLICKHOUSE_URL is missing or wrong; E004: it is for one process only; E005: LEDGER_KEEP_MONTHS is too short."""
    return [
        checks.Error(text, hint=hint, id=f"metering.E{number:03d}")
        for number, text, hint in (*_event_store(), *_retention())
    ]


def _event_store() -> Iterator[tuple[int, str, str]]:
    if settings.EVENT_STORE != "clickhouse":
        return
    hint = "Set CLICKHOUSE_URL to http://user:password@host:8123/database (https://…:8443/… for TLS), or EVENT_STORE=postgresql."
    try:
        client = connect(settings.CLICKHOUSE_URL)
    except ValueError as error:
        yield 3, f"EVENT_STORE is clickhouse and CLICKHOUSE_URL cannot be used: {error}.", hint
        return
    if client.where().startswith("chdb:"):
        if settings.PORTAL_ENV == "production":
            yield (
                4,
                "CLICKHOUSE_URL names a folder, which one process can use: web, workers and beat are several.",
                hint,
            )
        elif find_spec("chdb") is None:
            yield (
                3,
                "CLICKHOUSE_URL names a folder, and chdb is not installed.",
                "Install the extra `chdb`, or name a server.",
            )


def _retention() -> Iterator[tuple[int, str, str]]:
    if 0 < settings.LEDGER_KEEP_MONTHS < LEAST_MONTHS:
        yield (
            5,
            f"LEDGER_KEEP_MONTHS={settings.LEDGER_KEEP_MONTHS}: late events and the closing of months need {LEAST_MONTHS}.",
            f"Set it to {LEAST_MONTHS} or more, or to 0 to keep the ledger for ever.",
        )


def register() -> None:
    """Called by metering.apps when the app is ready."""
    checks.register(collectors, "metering")
    checks.register(ledger, "metering")
