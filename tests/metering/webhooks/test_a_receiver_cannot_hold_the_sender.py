from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler

import pytest

from metering.models import DeliveryState, WebhookDelivery, WebhookEndpoint
from metering.webhooks import delivery, endpoints, safe_http
from tenants.models import Tenant
from tests.metering.webhooks.conftest import Receiver


def test_a_dripping_answer_ends_at_the_deadline(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe_http, "TOTAL_SECONDS", 0.3)
    stop = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not stop.wait(0.02):
            try:
                handler.wfile.write(b"X-Slow: yes\r\n")
            except OSError:
                return

    receiver.answer = drip
    started = time.monotonic()
    try:
        with pytest.raises(safe_http.DeliveryError):
            safe_http.post(receiver.url, {}, b"{}", allow_private=True)
    finally:
        stop.set()
    assert time.monotonic() - started < 5


def test_an_endless_body_is_cut(receiver: Receiver) -> None:
    def flood(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
        try:
            while True:
                handler.wfile.write(b"x" * 65536)
        except OSError:
            pass

    receiver.answer = flood
    answer = safe_http.post(receiver.url, {}, b"{}", allow_private=True)
    assert answer.status == 200
    assert len(answer.body) == safe_http.MAX_BODY


def test_a_redirect_is_an_answer_and_not_a_way(receiver: Receiver) -> None:
    def redirect(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response_only(302)
        handler.send_header("Location", receiver.url)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    receiver.answer = redirect
    assert safe_http.post(receiver.url, {}, b"{}", allow_private=True).status == 302
    assert len(receiver.got) == 1


def test_a_slow_receiver_holds_up_its_own_messages_only(
    acme: Tenant, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "SLOW_SECONDS", -1.0)  # whoever answers at all was slow
    slow, _ = endpoints.create(acme, receiver.url, [], "", "user:alice")
    other, _ = endpoints.create(acme, receiver.url + "/other", [], "", "user:alice")
    start = datetime.now(UTC)
    for number in range(3):
        delivery.owe(acme, "invoice.issued", f"invoice-{number}", {}, start)
    assert delivery.send_due(start) == 2  # one of each
    sent = WebhookDelivery.objects.filter(state=DeliveryState.DELIVERED).values_list("endpoint", flat=True)
    assert sorted(sent) == sorted([slow.pk, other.pk])


def test_one_message_of_an_endpoint_is_on_its_way_at_a_time(acme: Tenant, receiver: Receiver) -> None:
    endpoints.create(acme, receiver.url, [], "", "user:alice")
    start = datetime.now(UTC)
    for number in range(2):
        delivery.owe(acme, "invoice.issued", f"invoice-{number}", {}, start)
    assert delivery._claim(start) is not None
    assert delivery._claim(start) is None
    assert delivery._claim(start + delivery.LEASE) is not None  # its sender was killed


def test_a_secret_that_cannot_be_read_stops_no_other_message(acme: Tenant, receiver: Receiver) -> None:
    broken, _ = endpoints.create(acme, receiver.url, [], "", "user:alice")
    WebhookEndpoint.objects.filter(pk=broken.pk).update(secret="gAAAAA-of-another-key")
    endpoints.create(acme, receiver.url + "/other", [], "", "user:alice")
    start = datetime.now(UTC)
    delivery.owe(acme, "invoice.issued", "invoice-1", {}, start)
    assert delivery.send_due(start) == 2
    assert len(receiver.got) == 1
    assert "rotate it" in WebhookDelivery.objects.get(endpoint=broken).last_error
