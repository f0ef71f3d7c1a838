"""`make stack-check` finds whatever of the stack would answer a stranger: every file is broken in turn."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import pytest

from infra.observability.as_code import authentication
from infra.observability.as_code.stack_check import COMPOSE, HERE

BROKEN = [
    ("prometheus/prometheus.yml", "    basic_auth: *prometheus\n    static_configs: [{targets: [\"node", "    static_configs: [{targets: [\"node", "asks node without"),
    ("prometheus/prometheus.yml", "credentials_file: /run/secrets/services_token", "credentials: open", "asks services without"),
    ("prometheus/prometheus.yml", "      basic_auth: &prometheus", "      params: &prometheus", "asks Alertmanager without"),
    ("otel/collector.yaml", '"0.0.0.0:4318", auth: {authenticator: bearertokenauth/spans}', '"0.0.0.0:4318"', "receivers.otlp.protocols.http answers anybody"),
    ("otel/collector.yaml", '"0.0.0.0:8889", auth: {authenticator: bearertokenauth/scrape}', '":8889"', "exporters.prometheus answers anybody"),
    ("otel/collector.yaml", '"127.0.0.1:13133"', '"0.0.0.0:13133"', "health_check answers anybody"),
    ("jaeger/config.yaml", '"0.0.0.0:16686", auth: {authenticator: basicauth}', '"0.0.0.0:16686"', "jaeger_query.http answers anybody"),
    ("jaeger/config.yaml", '"127.0.0.1:16685"', '"[::]:16685"', "jaeger_query.grpc answers anybody"),
    ("exporters/nginx.conf", "listen 9809;", "listen 9809; auth_basic off;", "lets in whoever comes"),
    ("grafana/operators/datasources/all.yml", "basicAuth: true", "basicAuth: false", "Grafana asks Prometheus without"),
    ("grafana/tenants/datasources/all.yml", "$__file{/run/secrets/tenants_password}", "open", "Grafana asks Usage without"),
]  # fmt: skip


def test_there_is_none() -> None:
    assert list(authentication.open_doors(COMPOSE, HERE)) == []


@pytest.mark.parametrize(("path", "told", "instead", "found"), BROKEN)
def test_one_in_a_file_is_found(path: str, told: str, instead: str, found: str, tmp_path: Path) -> None:
    shutil.copytree(HERE, tmp_path / "o", ignore=shutil.ignore_patterns("program", "*.json", "*.py", "__pycache__"))
    text = (tmp_path / "o" / path).read_text()
    assert told in text
    (tmp_path / "o" / path).write_text(text.replace(told, instead))
    doors = list(authentication.open_doors(COMPOSE, tmp_path / "o"))
    assert any(found in each for each in doors), doors


@pytest.mark.parametrize("name", [*authentication.BY_FLAG, *authentication.BEHIND_THE_DOOR])
def test_one_in_the_compose_file_is_found(name: str) -> None:
    compose = copy.deepcopy(COMPOSE)
    service = compose["services"][name]
    service.pop("network_mode", None)
    service["command"] = [word for word in service.get("command", []) if "/run/secrets/" not in str(word)]
    assert any(each.startswith(name) for each in authentication.open_doors(compose, HERE))
