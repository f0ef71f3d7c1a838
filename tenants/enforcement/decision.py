"""The decision endpoint of this installation: `granian --interface asgi tenants.enforcement.decision:app`."""

from __future__ import annotations

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from django.conf import settings  # noqa: E402 - settings first

from . import engine  # noqa: E402
from .http.endpoint import DecisionEndpoint  # noqa: E402

engine.keep_flushing(engine.COUNTS)
app = DecisionEndpoint(
    engine.config(),
    engine.COUNTS,
    engine.builder(),
    readiness=engine.readiness,
    metrics_token=settings.METRICS_TOKEN,
)
