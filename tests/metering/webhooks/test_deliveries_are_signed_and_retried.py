from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler

import pytest
from standardwebhooks import Webhook

from metering.models import DeliveryState, WebhookDelivery, WebhookEndpoint
from metering.webhooks import delivery, endpoints, secrets
from tenants.models import Tenant
from tests.metering.webhooks.conftest import Receiver


def now() -> datetime:
    return datetime.now(UTC)


def refuse(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response_only(500)
    handler.send_header("Content-Length", "4")
    handler.end_headers()
    handler.wfile.write(b"oops")


def test_a_message_verifies_with_the_secret_that_was_shown(acme: Tenant, receiver: Receiver) -> None:
    _, secret = endpoints.create(acme, receiver.url, [], "", "user:alice")
    assert delivery.owe(acme, "invoice.issued", "invoice-1", {"total": "12.30"}, now()) == 1
    assert delivery.send_due(now()) == 1
    headers, body = receiver.got[0]
    verified = Webhook(secret).verify(body, headers)
    assert verified["data"] == {"tenant": "acme", "total": "12.30"}
    assert WebhookDelivery.objects.get().state == DeliveryState.DELIVERED


def test_the_secret_is_not_stored_in_clear(acme: Tenant, receiver: Receiver) -> None:
    endpoint, secret = endpoints.create(acme, receiver.url, [], "", "user:alice")
    assert secret not in endpoint.secret
    assert secrets.unseal(endpoint.secret) == secret


def test_the_same_cause_is_owed_once(acme: Tenant, receiver: Receiver) -> None:
    endpoints.create(acme, receiver.url, [], "", "user:alice")
    for _ in range(3):
        delivery.owe(acme, "invoice.issued", "invoice-1", {}, now())
    assert WebhookDelivery.objects.count() == 1


def test_only_wanted_events_are_sent(acme: Tenant, receiver: Receiver) -> None:
    endpoints.create(acme, receiver.url, ["invoice.paid"], "", "user:alice")
    assert delivery.owe(acme, "invoice.issued", "invoice-1", {}, now()) == 0


def test_a_refused_message_is_tried_again_later_under_the_same_id(acme: Tenant, receiver: Receiver) -> None:
    endpoints.create(acme, receiver.url, [], "", "user:alice")
    receiver.answer = refuse
    start = now()
    delivery.owe(acme, "invoice.issued", "invoice-1", {}, start)
    delivery.send_due(start)
    waiting = WebhookDelivery.objects.get()
    assert (waiting.state, waiting.response_status, waiting.response_excerpt) == (DeliveryState.PENDING, 500, "oops")
    assert delivery.send_due(start + timedelta(seconds=1)) == 0
    receiver.answer = Receiver().answer
    assert delivery.send_due(start + timedelta(seconds=6)) == 1
    assert [headers["webhook-id"] for headers, _ in receiver.got] == ["invoice-1", "invoice-1"]
    assert WebhookDelivery.objects.get().state == DeliveryState.DELIVERED


def test_after_a_day_it_is_given_up_and_can_be_sent_by_hand(acme: Tenant, receiver: Receiver) -> None:
    endpoints.create(acme, receiver.url, [], "", "user:alice")
    receiver.answer = refuse
    moment = now()
    delivery.owe(acme, "invoice.issued", "invoice-1", {}, moment)
    for _ in range(40):
        delivery.send_due(moment)
        waiting = WebhookDelivery.objects.get()
        if waiting.state == DeliveryState.FAILED:
            break
        moment = waiting.next_attempt_at
    assert waiting.state == DeliveryState.FAILED
    assert timedelta(hours=12) < moment - waiting.created_at <= timedelta(hours=24)
    receiver.answer = Receiver().answer
    delivery.redeliver(waiting, moment)
    delivery.send_due(moment)
    assert WebhookDelivery.objects.get().state == DeliveryState.DELIVERED


def test_a_killed_senders_message_is_taken_up_after_its_lease(acme: Tenant, receiver: Receiver) -> None:
    endpoints.create(acme, receiver.url, [], "", "user:alice")
    start = now()
    delivery.owe(acme, "invoice.issued", "invoice-1", {}, start)
    assert delivery._claim(start) is not None  # and then the worker was killed
    assert delivery.send_due(start + timedelta(seconds=59)) == 0
    assert delivery.send_due(start + timedelta(seconds=61)) == 1
    assert len(receiver.got) == 1


def test_while_a_secret_rotates_both_verify(acme: Tenant, receiver: Receiver) -> None:
    endpoint, old = endpoints.create(acme, receiver.url, [], "", "user:alice")
    new = endpoints.rotate(endpoint, now(), "user:alice")
    delivery.owe(acme, "invoice.issued", "invoice-1", {}, now())
    delivery.owe(acme, "invoice.issued", "invoice-2", {}, now())
    delivery.send_due(now())
    headers, body = receiver.got[0]
    for secret in (old, new):
        assert json.loads(body) == Webhook(secret).verify(body, headers)
    WebhookEndpoint.objects.update(previous_until=now() - timedelta(seconds=1))
    delivery.redeliver(WebhookDelivery.objects.get(message_id="invoice-2"), now())
    delivery.send_due(now())
    headers, body = receiver.got[-1]
    assert Webhook(new).verify(body, headers)
    with pytest.raises(Exception, match="matching"):
        Webhook(old).verify(body, headers)
