"""However many scrape, one thread makes the page, everybody is answered at once, and nobody without the token is."""

from __future__ import annotations

import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from portal.telemetry import business, workloads
from portal.telemetry.server import MetricsServer
from tenants import exposition
from tenants.exposition import Kept, Page


@pytest.fixture
def served() -> Iterator[str]:
    exposition.forget()
    server = MetricsServer(0, exposition.exposition, "127.0.0.1")
    server.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def get(url: str, **headers: str) -> tuple[str, str]:
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=5) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def test_the_page_is_made_once():
    made, begun, release = [], threading.Event(), threading.Event()

    def make() -> Page:
        made.append(1)
        if len(made) > 1:
            begun.set()
            release.wait(5)
        return Page("text/plain", b"page %d" % len(made))

    kept = Kept(make, seconds=0)
    assert kept.get().body == b"page 1"
    slow = threading.Thread(target=kept.get)
    slow.start()
    assert begun.wait(5)
    answers = [kept.get().body for _ in range(100)]
    release.set()
    slow.join()
    assert set(answers) == {b"page 1"}, "who comes meanwhile gets the last one"
    assert len(made) == 2


def test_the_business_page_is_renewed_in_the_background(monkeypatch):
    page = business.BusinessPage()
    release, made = threading.Event(), []

    def render(accept: str, registry: object) -> Page:
        made.append(1)
        if len(made) > 1:
            release.wait(5)
        return Page("text/plain", b"made %d\n" % len(made))

    monkeypatch.setattr(business, "render", render)
    monkeypatch.setattr(business, "RENEW_SECONDS", -1.0)
    monkeypatch.setattr(business, "PATIENCE", 0.01)
    assert page._first()[1].body == b"made 1\n"
    bodies = {page.get().body.splitlines()[0] for _ in range(50)}
    assert bodies == {b"made 1"}
    assert len(made) == 2, "one thread at a time"
    release.set()
    assert b"portal_business_metrics_age_seconds" in page.get().body


def test_a_database_that_fails_leaves_the_last_page(monkeypatch):
    page = business.BusinessPage()
    monkeypatch.setattr(business, "render", lambda *_: Page("text/plain", b"good\n"))
    page._first()

    def fail(*_: object) -> Page:
        raise RuntimeError("gone")

    monkeypatch.setattr(business, "render", fail)
    monkeypatch.setattr(business, "RENEW_SECONDS", -1.0)
    for _ in range(3):
        assert page.get().body.startswith(b"good\n")


def test_the_token_is_asked_for(served, settings):
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "é"}):
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(f"{served}/metrics", **headers)
        assert refused.value.code == 401
    _, body = get(f"{served}/metrics", Authorization=f"Bearer {settings.METRICS_TOKEN}")
    assert "portal_log_events_total" in body


def test_openmetrics_is_spoken_whatever_version_is_asked_for(served, settings):
    with workloads.search("keyword"):
        pass
    accept = "application/openmetrics-text;version=99.x\tz,text/plain"
    kind, body = get(f"{served}/metrics", Authorization=f"Bearer {settings.METRICS_TOKEN}", Accept=accept)
    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    names = {family.name for family in text_string_to_metric_families(body)}
    assert "portal_search_duration_seconds" in names


def test_a_client_that_says_nothing_holds_nobody_up(served, settings):
    port = int(served.rpartition(":")[2])
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    started = time.monotonic()
    get(f"{served}/metrics", Authorization=f"Bearer {settings.METRICS_TOKEN}")
    assert time.monotonic() - started < 3
    for each in silent:
        each.close()
