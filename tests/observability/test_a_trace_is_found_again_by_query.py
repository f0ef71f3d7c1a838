"""A gateway's trace: decision endpoint (granian) → portal → worker (Celery) → PostgreSQL, asked for by its id, after a restart of the store
too. With a real Jaeger where `make stack-tools` built one, else with a stub at the wire (tracing.py)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from portal.doctor import State, tracing
from portal.embedded import free_port
from portal.telemetry import config
from tests.portal.telemetry.keys import service_key

from . import servers
from . import tracing as stores

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
# The collector keeps a tenth of ordinary traces, by their id: this one is among them.
TRACE, GATEWAY = "c2dfb6a65192c4f262cd76c83975170d", "00f067aa0ba902b7"
OWE = """
import sys, django
django.setup()
from django.conf import settings
settings.ROOT_URLCONF = "tests.portal.telemetry.urls_of_a_view_that_owes"
from django.test import Client
print(Client().get("/owe", headers={"traceparent": sys.argv[1]}).content.decode())
from portal.telemetry import setup
setup.flush()
"""


def test_one_trace_over_three_processes_and_the_database(
    cast: Any, server_environment: dict[str, str], tmp_path: Path, settings: Any
) -> None:
    parent = f"00-{TRACE}-{GATEWAY}-01"
    with stores.store(tmp_path / "store") as store:
        settings.TRACING = {"endpoint": store.endpoint, "headers": config.parse_headers(store.headers)}
        settings.JAEGER_URL = store.url
        found = tracing.traces()
        assert found.state is State.OK, found
        assert "was found in Jaeger" in found.text

        environment = {
            **server_environment, "OTEL_EXPORTER_OTLP_ENDPOINT": store.endpoint, "OTEL_EXPORTER_OTLP_HEADERS": store.headers, "OTEL_BSP_SCHEDULE_DELAY": "100",
            "DJANGO_SETTINGS_MODULE": "portal.settings", "PYTHONPATH": str(servers.ROOT),
        }  # fmt: skip
        port, key = free_port(), service_key(cast.acme)
        granian = str(Path(sys.executable).parent / "granian")
        address = f"http://127.0.0.1:{port}/decide"
        decision = (
            granian,
            "--interface",
            "asginl",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "tenants.enforcement.decision:app",
        )
        worker = (
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "celery",
            "-A",
            "portal",
            "worker",
            "--pool",
            "prefork",
            "--concurrency",
            "1",
        )
        with stores.process(
            tmp_path / "decision.log", {**environment, "PORTAL_ROLE": "decision"}, *decision
        ) as decides:
            servers.wait_for(address, lambda: decides.poll() is None, 90, tmp_path / "decision.log")
            status, _, body = servers.fetch(address, headers={"Authorization": f"Bearer {key}", "traceparent": parent})
            assert status == 200, body
            web = (sys.executable, "-W", "ignore", "-c", OWE, parent)
            with stores.process(tmp_path / "web.log", {**environment, "PORTAL_ROLE": "web"}, *web) as asked:
                assert asked.wait(120) == 0, (tmp_path / "web.log").read_text()
            with stores.process(tmp_path / "worker.log", environment, *worker):
                servers.until(
                    lambda: "notification.send" in {each["name"] for each in store.spans(TRACE)},
                    120,
                    "the worker is not in it",
                )
        _whole(servers.until(lambda: _all(store), 60, f"only {[each['name'] for each in store.spans(TRACE)]}"))
    if stores.REAL:
        with stores.store(tmp_path / "store") as again:
            _whole(servers.until(lambda: _all(again), 60, "a restart forgot it"))


def _all(store: stores.Store) -> list[dict[str, Any]]:
    spans = store.spans(TRACE)
    names = {each["name"] for each in spans}
    return (
        spans
        if {"enforcement.decide", "GET owe", "run/metering.tasks.send_notifications", "notification.send", "UPDATE"}
        <= names
        else []
    )


def _whole(spans: list[dict[str, Any]]) -> None:
    by_name = {each["name"]: each for each in spans}
    assert {"portal-decision", "portal-web", "portal-worker"} == {each["service"] for each in spans}
    assert by_name["enforcement.decide"]["parents"] == by_name["GET owe"]["parents"] == [GATEWAY]
    assert by_name["enforcement.decide"]["tags"]["portal.tenant"] == "acme"
    sent = by_name["notification.send"]
    assert sent["parents"] == [by_name["GET owe"]["id"]]
    written = [
        each
        for each in spans
        if each["service"] == "portal-worker" and each["tags"].get("db.system.name") == "postgresql"
    ]
    assert any(sent["id"] in each["parents"] for each in written), "the database, under the worker's span"


def test_a_collector_that_takes_nothing_is_said(settings: Any) -> None:
    settings.TRACING = {"endpoint": f"http://127.0.0.1:{free_port()}", "timeout": 1.0}
    assert config.from_settings().on
    found = tracing.traces()
    assert found.state is State.BROKEN
    assert "does not take spans" in found.text
