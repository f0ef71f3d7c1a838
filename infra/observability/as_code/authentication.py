"""Who could ask the stack without saying who they are: nobody. Read from the files, for `make stack-check`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Compose = dict[str, Any]

BY_FLAG = {
    "prometheus": "--web.config.file=/run/secrets/", "alertmanager": "--web.config.file=/run/secrets/", "long-term": "-httpAuth.password=file://",
    "postgres-exporter": "--web.config.file=/run/secrets/", "node-exporter": "--web.config.file=/run/secrets/",
    "dcgm-exporter": "--web-config-file=/run/secrets/", "mail": "--ui-auth-file=/run/secrets/",
}  # fmt: skip
"""What asks for passwords when it is told to, and how it is told."""
DOOR = "exporters-door"
BEHIND_THE_DOOR = ("celery-exporter", "redis-exporter")
"""What knows no passwords: it shares the door's network and listens on its loopback."""
_HERE = re.compile(r"(?:127\.|localhost:|\[::1\])")
_ANYWHERE = re.compile(r"(?:0\.0\.0\.0|\[::\])?:\d+$")


def open_doors(compose: Compose, folder: Path) -> Iterator[str]:
    """A sentence for each door of `folder` (infra/observability) and of the compose file that opens without a password or token."""
    services = compose["services"]
    yield from _asked_by_prometheus(_yaml(folder / "prometheus/prometheus.yml"))
    for name, flag in BY_FLAG.items():
        if not any(str(word).startswith(flag) for word in services[name].get("command") or []):
            yield f"{name} is started without {flag}…"
    for path in (folder / "otel/collector.yaml", folder / "jaeger/config.yaml"):
        for where, endpoint in _unguarded(_yaml(path)):
            yield f"{path.name}: {where} answers anybody at {endpoint}"
    yield from _behind_the_door(services, (folder / "exporters/nginx.conf").read_text(encoding="utf-8"))
    for who in ("operators", "tenants"):
        for source in _yaml(folder / f"grafana/{who}/datasources/all.yml")["datasources"]:
            password = source.get("secureJsonData", {}).get("basicAuthPassword", "")
            if not source.get("basicAuth") or not password.startswith("$__file{/run/secrets/"):
                yield f"{who}: Grafana asks {source['name']} without a password from a file"


def _asked_by_prometheus(config: dict[str, Any]) -> Iterator[str]:
    for job in [*config["scrape_configs"], *config["alerting"]["alertmanagers"]]:
        told = job.get("authorization") or job.get("basic_auth") or {}
        if not any(name.endswith("_file") for name in told):
            yield f"Prometheus asks {job.get('job_name', 'Alertmanager')} without a password from a file"


def _behind_the_door(services: dict[str, Any], door: str) -> Iterator[str]:
    if "auth_basic_user_file /run/secrets/" not in door or door.count("auth_basic off") != 1:
        yield "exporters/nginx.conf lets in whoever comes"
    for name in BEHIND_THE_DOOR:
        service = services[name]
        started = str([service.get("entrypoint"), service.get("command")])
        if service.get("network_mode") != f"service:{DOOR}" or "127.0.0.1" not in started:
            yield f"{name} knows no passwords and does not hide behind {DOOR}"


def _unguarded(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(where, address) of everything that listens beyond its own loopback and asks nobody who they are."""

    def walk(where: str, part: Any) -> Iterator[tuple[str, str]]:
        if not isinstance(part, dict):
            return
        endpoint = str(part.get("endpoint", ""))
        if _ANYWHERE.match(endpoint) and not _HERE.match(endpoint) and "auth" not in part:
            yield where, endpoint
        for name, inner in part.items():
            yield from walk(f"{where}.{name}", inner)

    for kind in ("receivers", "exporters", "extensions"):
        yield from walk(kind, config.get(kind) or {})


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))
