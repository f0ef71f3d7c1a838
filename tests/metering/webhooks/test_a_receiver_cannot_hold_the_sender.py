from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler

import pytest

from metering.webhooks import safe_http
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
