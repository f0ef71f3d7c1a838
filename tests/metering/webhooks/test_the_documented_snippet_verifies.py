"""docs/webhooks.md: its Python verifies what is really sent, refuses what is not, and its table names every event."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from metering.models import WebhookDelivery
from metering.webhooks import delivery, endpoints, events
from tenants.models import Tenant

DOCUMENT = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text()
Verify = Callable[..., bool]


@pytest.fixture(scope="module")
def verify() -> Verify:
    found = re.search(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {}
    exec(found[1], names)  # noqa: S102  the document of this repository
    return names["verify"]  # type: ignore[no-any-return]


def sent(tenant: Tenant, at: datetime) -> tuple[str, dict[str, str], bytes]:
    endpoint, secret = endpoints.create(tenant, "https://hooks.acme.example/in", [], "", "user:alice")
    message: WebhookDelivery = delivery.send_test(endpoint, at)
    return secret, delivery.headers(message, at), message.body.encode()


def test_what_is_sent_is_accepted(verify: Verify, acme: Tenant) -> None:
    secret, headers, body = sent(acme, datetime.now(UTC))
    assert verify(secret, headers, body)


def test_another_body_secret_id_or_time_is_refused(verify: Verify, acme: Tenant) -> None:
    secret, headers, body = sent(acme, datetime.now(UTC))
    other = endpoints.create(acme, "https://hooks.acme.example/two", [], "", "user:alice")[1]
    assert not verify(secret, headers, body + b" ")
    assert not verify(other, headers, body)
    assert not verify(secret, headers | {"webhook-id": "another"}, body)
    assert not verify(secret, headers | {"webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}, body)


def test_an_old_message_is_refused(verify: Verify, acme: Tenant) -> None:
    secret, headers, body = sent(acme, datetime.now(UTC) - timedelta(minutes=6))
    assert not verify(secret, headers, body)


def test_after_a_rotation_both_secrets_verify_for_a_day(verify: Verify, acme: Tenant) -> None:
    now = datetime.now(UTC)
    endpoint, old = endpoints.create(acme, "https://hooks.acme.example/in", [], "", "user:alice")
    new = endpoints.rotate(endpoint, now, "user:alice")
    message = delivery.send_test(endpoint, now)
    headers = delivery.headers(message, now)
    assert verify(old, headers, message.body.encode())
    assert verify(new, headers, message.body.encode())
    later = delivery.headers(message, now + timedelta(hours=25))
    assert len(later["webhook-signature"].split(" ")) == 1


def test_every_event_is_described() -> None:
    table = DOCUMENT[DOCUMENT.index("## Events") :]
    documented = {
        name
        for line in table.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`([a-z_]+\.[a-z_]+)`", line.split("|")[1])
    }
    assert documented >= {*events.EVENTS, events.TEST}
