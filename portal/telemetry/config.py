"""What the settings say about tracing."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


@dataclass(frozen=True)
class Tracing:
    """Where spans go, and which. `timeout` is in seconds and holds for one attempt to hand over a batch."""

    endpoint: str
    protocol: str = "grpc"
    ratio: float = 1.0
    trust_parent: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    certificate: str = ""
    client_certificate: str = ""
    client_key: str = ""
    timeout: float = 3.0
    service: str = ""
    queue: int = 2048

    @property
    def on(self) -> bool:
        return bool(self.endpoint)


def from_settings() -> Tracing:
    """As OTEL_* in the environment say; see .env.example."""
    return Tracing(**cast(dict[str, Any], settings.TRACING))


def parse_headers(text: str) -> dict[str, str]:
    """`name=value,name=value` of OTEL_EXPORTER_OTLP_HEADERS. A value may hold `=`; names become lower case."""
    pairs = (part.partition("=") for part in text.split(",") if part.strip())
    return {name.strip().lower(): value.strip() for name, _, value in pairs if name.strip()}


def ratio(text: str) -> float:
    """A share from 0 to 1. Raises ImproperlyConfigured for anything else."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ImproperlyConfigured(f"OTEL_TRACES_SAMPLER_ARG={text!r} is no share from 0 to 1.")
    return value


def protocol(text: str) -> str:
    """grpc or http/protobuf. Raises ImproperlyConfigured for anything else."""
    if text not in {"grpc", "http/protobuf"}:
        raise ImproperlyConfigured(f"OTEL_EXPORTER_OTLP_PROTOCOL={text!r}: use grpc or http/protobuf.")
    return text


def role() -> str:
    """What this process is: web, decision, worker, beat, exporter, or manage for commands."""
    if told := os.environ.get("PORTAL_ROLE"):
        return told
    words = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    for mark, name in _MARKS:
        if mark in words:
            return name
    return "manage"


_MARKS = (
    ("portal.wsgi", "web"),
    ("runserver", "web"),
    ("tenants.enforcement.decision", "decision"),
    (" worker", "worker"),
    (" beat", "beat"),
    ("business_exporter", "exporter"),
)
