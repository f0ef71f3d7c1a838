"""What every service reads from its environment, once, at start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SERVICES = ("gateway", "imaging", "search", "ml")
PORTS = {"gateway": 8100, "imaging": 8101, "search": 8102, "ml": 8103, "worker": 8104, "queues": 8105}
LONGEST_DELAY = 60_000


class ConfigError(ValueError):
    """The environment says something that cannot be; the text says what to change."""


@dataclass(frozen=True)
class Config:
    """Settings of one process.

    `data` holds what `build` made (catalogue, index, model) and the jobs. `accounts` is the file of who may log in. `secret` signs
    sessions and lets services recognise each other. `metrics_token` is what Prometheus presents; without one /metrics answers everybody
    who reaches the port. `slow_ms` delays every answer: a fault switch, for tests of thresholds.
    """

    service: str
    data: Path
    secret: str
    urls: Mapping[str, str] = field(default_factory=dict)
    accounts: Path = Path("accounts.json")
    broker_url: str = ""
    portal_url: str = ""
    decision_url: str = ""
    otlp_endpoint: str = ""
    trace_ratio: float = 1.0
    slow_ms: int = 0
    gpu_model: str = "L4"
    otlp_headers: str = ""
    metrics_port: int = 0
    metrics_host: str = "127.0.0.1"
    metrics_token: str = ""

    @property
    def catalogue(self) -> Path:
        return self.data / "catalogue.json"

    @property
    def model(self) -> Path:
        return self.data / "modality-1.onnx"

    @property
    def indexes(self) -> Path:
        return self.data / "indexes"

    @property
    def thumbnails(self) -> Path:
        return self.data / "thumbnails"

    @property
    def jobs(self) -> Path:
        return self.data / "jobs.sqlite"


def from_environment(service: str, environment: Mapping[str, str] | None = None) -> Config:
    """PLATFORM_* and OTEL_* as the process was given them. Raises ConfigError."""
    env = os.environ if environment is None else environment
    secret = _secret(env, "PLATFORM_SECRET")
    if len(secret) < 16:
        raise ConfigError("PLATFORM_SECRET signs the sessions: set it to at least 16 random characters.")
    data = Path(env.get("PLATFORM_DATA", ".data/platform"))
    return Config(
        service=service,
        data=data,
        secret=secret,
        urls={name: env.get(f"PLATFORM_{name.upper()}_URL", f"http://127.0.0.1:{PORTS[name]}") for name in SERVICES},
        accounts=Path(env.get("PLATFORM_ACCOUNTS", str(data / "accounts.json"))),
        broker_url=_secret(env, "PLATFORM_BROKER_URL"),
        portal_url=env.get("PLATFORM_PORTAL_URL", "").rstrip("/"),
        decision_url=env.get("PLATFORM_DECISION_URL", "").rstrip("/"),
        otlp_endpoint=env.get("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
        otlp_headers=_secret(env, "OTEL_EXPORTER_OTLP_HEADERS"),
        trace_ratio=_number(env, "OTEL_TRACES_SAMPLER_ARG", 1.0, 1.0),
        slow_ms=int(_number(env, "PLATFORM_SLOW_MS", 0, LONGEST_DELAY)),
        gpu_model=env.get("PLATFORM_GPU_MODEL", "L4"),
        metrics_port=int(_number(env, "PLATFORM_METRICS_PORT", 0, 65_535)),
        metrics_host=env.get("PLATFORM_METRICS_HOST", "127.0.0.1"),
        metrics_token=_secret(env, "PLATFORM_METRICS_TOKEN"),
    )


def _secret(env: Mapping[str, str], name: str) -> str:
    """The value, or what the file holds that `<name>_FILE` names."""
    path = env.get(f"{name}_FILE")
    if not path:
        return env.get(name, "")
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{name}_FILE names {path}, which cannot be read ({error.strerror}).") from error


def _number(env: Mapping[str, str], name: str, default: float, most: float) -> float:
    text = env.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        raise ConfigError(f"{name}={text!r} is no number from 0 to {most:g}.")
    return value
