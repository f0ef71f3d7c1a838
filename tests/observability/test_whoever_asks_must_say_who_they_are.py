"""Nothing of the observability stack answers a stranger: real exporters, Prometheus, Alertmanager and Jaeger with the secrets that
infra/docker/secrets.sh makes. And whoever is meant to ask is answered: Prometheus, with the configuration that is deployed, reads every
one of them and reports to Alertmanager; the doctor reads all three.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from portal.doctor import State, watchers
from portal.embedded import free_port
from tests.servers import servers as under_test

from . import servers, tracing

NEEDED = (
    "prometheus",
    "prometheus-alertmanager",
    "nginx",
    *(f"prometheus-{each}-exporter" for each in ("node", "postgres", "redis")),
)
RULES = "groups: [{name: x, interval: 1s, rules: [{alert: Told, expr: vector(1)}]}]"
lacking = servers.missing(*NEEDED)
pytestmark = [pytest.mark.skipif(bool(lacking), reason=lacking), pytest.mark.slow]


@dataclass
class Stack:
    """Addresses by the names of docker-compose.yml."""

    secrets: Path
    at: dict[str, str]

    def known(self, who: str, name: str, path: str = "") -> str:
        """An address with the password of `who` in it."""
        return f"http://{who}:{(self.secrets / f'{who}_password').read_text()}@{self.at[name]}{path}"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    secrets = servers.secrets(folder / "made")
    at: dict[str, str] = {}
    with contextlib.ExitStack() as running, pytest.MonkeyPatch.context() as patched:
        url = under_test.postgres.url_for(under_test.database).replace("postgres://", "postgresql://")
        patched.setenv("DATA_SOURCE_NAME", f"{url}?sslmode=disable")

        def start(program: str, *options: str, flag: str = "--web.listen-address") -> int:
            port = free_port()
            running.enter_context(
                servers.running(
                    program,
                    f"{flag}=127.0.0.1:{port}",
                    *options,
                    ready=f"http://127.0.0.1:{port}/",
                    log=folder / program,
                    timeout=60,
                )
            )
            return port

        hashed = f"--web.config.file={secrets}/exporters_web"
        for name in ("node-exporter", "postgres-exporter"):
            port = {"node-exporter": 9100, "postgres-exporter": 9187}[name]
            at[f"{name}:{port}"] = f"127.0.0.1:{start(f'prometheus-{name}', hashed)}"
        (secrets / "redis_exporter_passwords").write_text(json.dumps({_redis(): under_test.redis.password}))
        passwords = f"-redis.password-file={secrets}/redis_exporter_passwords"
        redis = start("prometheus-redis-exporter", "-redis.addr=", passwords, flag="-web.listen-address")
        celery = servers.Web(
            lambda handler, body: (200, {"Content-Type": "text/plain; version=0.0.4"}, _celery(handler))
        )
        running.callback(celery.close)
        door = running.enter_context(servers.exporters_door(folder / "door", secrets, {9808: celery.port, 9121: redis}))
        at |= {f"exporters-door:{port}": address for port, address in door.items()}
        config = (servers.CONFIG / "alertmanager/mail-and-portal.yml").read_text().replace("/run/secrets", str(secrets))
        (folder / "alertmanager.yml").write_text(
            config.replace("/etc/alertmanager/", f"{servers.CONFIG}/alertmanager/")
        )
        alerts = start(
            "prometheus-alertmanager", f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/am", "--cluster.listen-address=",
            "--web.external-url=http://x/alertmanager/", f"--web.config.file={secrets}/alertmanager_web",
        )  # fmt: skip
        at["alertmanager:9093"] = f"127.0.0.1:{alerts}"
        if tracing.REAL:
            ports = running.enter_context(tracing.jaeger(folder / "jaeger", secrets))
            at |= {f"jaeger:{port}": address for port, address in ports.items()}
            if servers.program("otelcol"):
                ports = running.enter_context(servers.collector(folder / "otel", secrets, at["jaeger:4317"]))
                at |= {f"otel-collector:{port}": address for port, address in ports.items()}
        port = free_port()
        at["127.0.0.1:9090"] = f"127.0.0.1:{port}"
        (folder / "prometheus.yml").write_text(json.dumps(_prometheus(secrets, at, folder / "rules.yml")))
        (folder / "rules.yml").write_text(RULES)
        options = (
            f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}",
            "--web.external-url=http://x/prometheus/", f"--web.config.file={secrets}/prometheus_web",
            "--rules.alert.resend-delay=1s",  # the rule fires before Prometheus has found Alertmanager
        )  # fmt: skip
        ready = f"http://127.0.0.1:{port}/"
        running.enter_context(servers.running("prometheus", *options, ready=ready, log=folder / "prometheus.log"))
        yield Stack(secrets, at)


def _redis() -> str:
    return f"redis://127.0.0.1:{under_test.redis.port}"


def _celery(handler: Any) -> bytes:
    """celery-exporter's place at the wire; the password stays at the door."""
    assert "Authorization" not in handler.headers
    return b"celery_worker_up 1\n"


def _prometheus(secrets: Path, at: dict[str, str], rules: Path) -> dict[str, Any]:
    """prometheus.yml as it is deployed, for those who are here: other addresses, no waiting, Redis with its own."""
    text = (servers.CONFIG / "prometheus/prometheus.yml").read_text().replace("/run/secrets", str(secrets))
    for name in sorted(at, key=len, reverse=True):
        text = re.sub(rf"(?<![\w.-]){re.escape(name)}\b", at[name], text)
    config: dict[str, Any] = yaml.safe_load(
        text.replace("interval: 15s", "interval: 1s").replace("timeout: 10s", "timeout: 1s")
    )
    here = set(at.values())
    config["scrape_configs"] = [job for job in config["scrape_configs"] if _addresses(job) & here]
    for job in config["scrape_configs"]:
        job.update(scrape_interval="2s", scrape_timeout="2s")
        if job["job_name"] == "postgres":  # asks much of a busy machine
            job.update(scrape_interval="8s", scrape_timeout="8s")
        if job["job_name"] == "redis":
            job["static_configs"] = [{"targets": [_redis()]}]
    config["rule_files"] = [str(rules)]
    return config


def _addresses(job: dict[str, Any]) -> set[str]:
    named = {target for each in job.get("static_configs", []) for target in each["targets"]}
    return named | {each.get("replacement", "") for each in job.get("relabel_configs", [])}


PATHS = {
    "node-exporter:9100": ("/metrics", "/"),
    "postgres-exporter:9187": ("/metrics", "/"),
    "exporters-door:9122": ("/metrics", "/scrape?target=redis://127.0.0.1:1", "/", "/health", "/discover-cluster-nodes", "/-/reload"),
    "exporters-door:9809": ("/metrics", "/", "/health"),
    "alertmanager:9093": ("/alertmanager/", "/alertmanager/api/v2/alerts", "/alertmanager/metrics", "/alertmanager/-/reload", "/alertmanager/-/ready"),
    "127.0.0.1:9090": ("/prometheus/", "/prometheus/api/v1/query?query=up", "/prometheus/metrics", "/prometheus/federate?match[]=up", "/prometheus/-/ready"),
    "jaeger:16686": ("/jaeger/", "/jaeger/api/services", "/jaeger/api/traces?service=x", "/jaeger/api/v3/services"),
    "jaeger:8888": ("/metrics",),
    "otel-collector:8888": ("/metrics",),
    "otel-collector:8889": ("/metrics",),
}  # fmt: skip


@pytest.mark.parametrize("name", PATHS)
def test_a_stranger_is_told_nothing(stack: Stack, name: str) -> None:
    if name not in stack.at:
        pytest.skip(servers.missing("jaeger", "otelcol"))
    url = f"http://{stack.at[name]}"
    wrong = (
        servers.basic("operators", "x"),
        servers.basic("prometheus", ""),
        servers.basic("", ""),
        {"Authorization": "Bearer x"},
    )
    for path in PATHS[name]:
        for headers in ({}, *wrong):
            for method in ("GET", "POST"):
                status, told, body = servers.fetch(url + path, headers=headers, method=method)
                assert status == 401, (path, headers, method)
                assert len(body) < 400, "only that it is not allowed"
                assert "basic" in told.get("www-authenticate", "basic").lower()


def test_a_password_opens_what_it_is_for_only(stack: Stack) -> None:
    prometheus, alertmanager = ("127.0.0.1:9090", "/prometheus/-/ready"), ("alertmanager:9093", "/alertmanager/-/ready")
    node = ("node-exporter:9100", "/metrics")
    opens = {
        "prometheus": {prometheus, alertmanager, node},
        "operators": {prometheus, alertmanager},
        "tenants": {prometheus},
    }
    for who, allowed in opens.items():
        for door in (prometheus, alertmanager, node):
            status = servers.fetch(stack.known(who, *door))[0]
            assert (status == 200) == (door in allowed), (who, door, status)


def test_prometheus_reads_every_one_of_them_with_the_configuration_that_is_deployed(stack: Stack) -> None:
    url = stack.known("operators", "127.0.0.1:9090", "/prometheus")

    def targets() -> dict[str, str]:
        found = json.loads(servers.fetch(f"{url}/api/v1/targets")[2])["data"]["activeTargets"]
        return {each["labels"]["job"]: each["lastError"] or each["health"] for each in found}

    expected = {"celery", "redis", "postgres", "node", "prometheus", "alertmanager"}
    expected |= {"jaeger"} if "jaeger:8888" in stack.at else set()
    expected |= {"otel-collector", "span-metrics"} if "otel-collector:8888" in stack.at else set()
    servers.until(lambda: targets() == dict.fromkeys(expected, "up"), 60, f"{targets()}")
    for sample in (
        "node_filesystem_avail_bytes",
        "pg_up == 1",
        "redis_up == 1",
        "celery_worker_up",
        "alertmanager_build_info",
    ):
        servers.until(lambda sample=sample: servers.ask(url, sample), 30, sample)


def test_prometheus_reports_to_alertmanager_by_its_password(stack: Stack) -> None:
    url = stack.known("operators", "alertmanager:9093", "/alertmanager/api/v2/alerts")

    def told() -> list[str]:
        return [each["labels"]["alertname"] for each in json.loads(servers.fetch(url)[2])]

    servers.until(lambda: "Told" in told(), 60, "no alert arrived")


def test_the_doctor_knows_the_passwords_and_shows_none(stack: Stack, settings: Any) -> None:
    settings.PROMETHEUS_URL = stack.known("operators", "127.0.0.1:9090", "/prometheus")
    settings.ALERTS_TOKEN = "x"
    settings.ALERTMANAGER_URL = stack.known("operators", "alertmanager:9093", "/alertmanager")
    found = servers.until(lambda: (seen := watchers.prometheus()).state is State.OK and seen, 60, "targets are down")
    told = watchers.alertmanager()
    assert told.state is State.OK, told
    assert (stack.secrets / "operators_password").read_text() not in f"{found}{told}"
    settings.PROMETHEUS_URL = f"http://{stack.at['127.0.0.1:9090']}/prometheus"
    refused = watchers.prometheus()
    assert refused.state is State.BROKEN
    assert "401" in refused.text, refused
