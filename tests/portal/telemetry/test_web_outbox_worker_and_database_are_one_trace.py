"""web → outbox row and Celery message → a worker of its own process → SQL: one trace."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.portal.telemetry.conftest import ROOT

OWE = """
    from django.conf import settings
    settings.ROOT_URLCONF = "tests.portal.telemetry.urls_of_a_view_that_owes"
    print(Client().get("/owe").content.decode())
"""


@pytest.mark.django_db(transaction=True)
def test_one_trace(child, traced_environment, collector):
    assert child(OWE, traced_environment).stdout.strip() == "owed"
    worker = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "celery", "-A", "portal", "worker", "--pool", "threads", "--concurrency", "1"],
        env=traced_environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        collector.received.wait_for("notification.send", "run/metering.tasks.send_notifications", seconds=60)
    finally:
        worker.terminate()
        worker.wait(30)
    (server,) = collector.received.named("GET owe")
    (published,) = collector.received.named("apply_async/metering.tasks.send_notifications")
    (ran,) = collector.received.named("run/metering.tasks.send_notifications")
    (sent,) = collector.received.named("notification.send")

    assert {span.trace for span in (published, ran, sent)} == {server.trace}
    assert (server.service, ran.service, sent.service) == ("portal-manage", "portal-worker", "portal-worker")
    assert published.parent == server.id
    assert ran.parent == published.id, "by the message's headers"
    assert sent.parent == server.id, "by the row: whoever sends it, and whenever"
    written = [span.attributes["db.query.text"] for span in collector.received.spans if span.parent == sent.id]
    assert any(text.startswith('UPDATE "metering_notification"') for text in written)
    queries = [span for span in collector.received.spans if span.kind == "client"]
    assert {span.trace for span in queries} == {server.trace}, "a worker that looks for work begins no traces"
