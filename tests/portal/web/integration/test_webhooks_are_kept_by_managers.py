from __future__ import annotations

import re
from collections.abc import Callable

from django.test import Client

from metering.models import WebhookDelivery, WebhookEndpoint
from metering.webhooks import secrets
from tests.portal.web.conftest import text_of

URL = "https://hooks.acme.example/in"


def made(client: Client) -> str:
    answer = client.post("/t/acme/webhooks/new", {"url": URL, "event_types": ["budget.threshold"], "once": "t1"})
    found = re.search(r"whsec_[A-Za-z0-9+/=]+", text_of(answer))
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    assert found is not None
    return found[0]


def test_the_secret_is_shown_once(browse: Callable[[str], Client]) -> None:
    client = browse("alice")
    secret = made(client)
    endpoint = WebhookEndpoint.objects.get()
    assert secrets.unseal(endpoint.secret) == secret
    for page in (
        "/t/acme/webhooks",
        f"/t/acme/webhooks/{endpoint.public_id}",
        f"/t/acme/webhooks/{endpoint.public_id}/edit",
    ):
        answer = client.get(page)
        assert answer.status_code == 200
        assert "whsec_" not in text_of(answer)


def test_sending_the_form_twice_makes_one(browse: Callable[[str], Client]) -> None:
    client = browse("alice")
    made(client)
    client.post("/t/acme/webhooks/new", {"url": URL, "once": "t1"})
    assert WebhookEndpoint.objects.count() == 1


def test_rotation_overlaps(browse: Callable[[str], Client]) -> None:
    client = browse("alice")
    first = made(client)
    endpoint = WebhookEndpoint.objects.get()
    body = text_of(client.post(f"/t/acme/webhooks/{endpoint.public_id}/rotate"))
    endpoint.refresh_from_db()
    assert secrets.unseal(endpoint.secret) in body.replace("&#x3D;", "=")
    assert secrets.unseal(endpoint.previous_secret) == first


def test_a_test_is_owed_and_sent_again_by_hand(browse: Callable[[str], Client]) -> None:
    client = browse("alice")
    made(client)
    endpoint = WebhookEndpoint.objects.get()
    client.post(f"/t/acme/webhooks/{endpoint.public_id}/test")
    message = WebhookDelivery.objects.get()
    assert (message.event_type, message.state) == ("endpoint.test", "pending")
    WebhookDelivery.objects.update(
        state="failed", response_status=500, response_excerpt="<oops>", last_error="The receiver answered 500."
    )
    body = text_of(client.get(f"/t/acme/webhooks/{endpoint.public_id}"))
    assert "HTTP 500" in body
    assert "&lt;oops&gt;" in body
    client.post(f"/t/acme/webhooks/{endpoint.public_id}/deliveries/{message.public_id}/redeliver")
    message.refresh_from_db()
    assert (message.state, message.message_id.startswith("test-")) == ("pending", True)


def test_it_is_switched_off_and_removed(browse: Callable[[str], Client]) -> None:
    client = browse("alice")
    made(client)
    page = f"/t/acme/webhooks/{WebhookEndpoint.objects.get().public_id}"
    client.post(f"{page}/edit", {"url": URL})
    assert not WebhookEndpoint.objects.get().is_active
    client.post(f"{page}/remove")
    assert not WebhookEndpoint.objects.exists()


def test_others_find_nothing(browse: Callable[[str], Client]) -> None:
    made(browse("alice"))
    endpoint = WebhookEndpoint.objects.get().public_id
    assert browse("carol").get(f"/t/acme/webhooks/{endpoint}").status_code == 403
    assert browse("mallory").get(f"/t/globex/webhooks/{endpoint}").status_code == 404
    assert browse("mallory").post(f"/t/globex/webhooks/{endpoint}/rotate").status_code == 404


def test_a_bad_address_is_said(browse: Callable[[str], Client]) -> None:
    answer = browse("alice").post("/t/acme/webhooks/new", {"url": "ftp://x", "once": "t2"})
    assert answer.status_code == 400
    assert "https:// URL" in text_of(answer)
