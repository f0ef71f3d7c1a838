"""Numbered system checks of what metering reads from the settings. E: no command runs until it is put right."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core import checks

from metering.collectors import config


def collectors(**_: Any) -> list[checks.CheckMessage]:
    """metering.E001: a field of settings.COLLECTORS is missing or wrong; metering.E002: a field is unknown."""
    return [
        checks.Error(problem.text, hint=problem.hint, id=f"metering.E{problem.number:03d}")
        for problem in config.problems(settings.COLLECTORS)
    ]


def register() -> None:
    """Called by metering.apps when the app is ready."""
    checks.register(collectors, "metering")
