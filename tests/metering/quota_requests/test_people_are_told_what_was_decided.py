from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from django.utils import timezone

from metering.models import Notification, WebhookDelivery
from metering.webhooks import endpoints
from tenants.limiting import quota_requests

from .conftest import Ask


def grant(row: Any, **terms: Any) -> None:
    values: dict[str, Any] = {"granted": None, "valid_until": row.valid_until, "reason": ""} | terms
    quota_requests.approve(
        row.tenant, row.public_id, **values, actor="user:olivia", decided_by=None, now=timezone.now()
    )


def test_the_operators_read_who_asks_and_what_it_would_mean(ask: Ask, use: Any) -> None:
    use("10", model="H100")
    row = ask(150)
    mail = Notification.objects.get(kind="quota-request-made")
    assert (mail.recipient, mail.tenant) == ("ops@platform.example", None)
    for words in ("150 hours", "100 hours", "bob", "Training", "$125.00 a month", f"/quotarequest/{row.pk}/change"):
        assert words in mail.text.replace("GPU hours", "hours")
        assert words.split("/")[0] in mail.html.replace("GPU hours", "hours")


def test_the_asker_and_the_managers_are_told_once(ask: Ask) -> None:
    row = ask(150)
    for _again in range(2):
        grant(row, granted=Decimal(120), reason="As many as are free")
    mails = Notification.objects.filter(kind="quota-request-decided")
    assert {mail.recipient for mail in mails} == {"bob@acme.example", "alice@acme.example", "ada@acme.example"}
    assert mails.count() == 3
    bobs = mails.get(recipient="bob@acme.example")
    assert "Your request was granted in part" in bobs.text
    assert "As many as are free" in bobs.html
    assert "/t/acme/quotas#requests" in bobs.text
    assert "Your request" not in mails.get(recipient="ada@acme.example").text


def test_a_denial_carries_its_reason(ask: Ask) -> None:
    row = ask(150)
    quota_requests.deny(
        row.tenant, row.public_id, reason="No <nodes>", actor="user:olivia", decided_by=None, now=timezone.now()
    )
    mail = Notification.objects.get(kind="quota-request-decided", recipient="bob@acme.example")
    assert "denied" in mail.subject
    assert "No <nodes>" in mail.text
    assert "No &lt;nodes&gt;" in mail.html


def test_a_webhook_tells_the_decision(ask: Ask, cast: Any) -> None:
    endpoints.create(cast.acme, "https://hooks.acme.example/in", ["quota_request.decided"], "", "user:alice")
    row = ask(150)
    grant(row)
    sent = json.loads(WebhookDelivery.objects.get().body)
    assert sent["type"] == "quota_request.decided"
    assert (sent["data"]["state"], Decimal(sent["data"]["granted"]), sent["data"]["by_rule"]) == (
        "approved",
        150,
        False,
    )


def test_whoever_has_left_hears_nothing(ask: Ask, cast: Any) -> None:
    from tenants.people import memberships

    row = ask(150)
    memberships.remove(cast.membership("bob"), by=None, actor="test")
    grant(row)
    assert not Notification.objects.filter(recipient="bob@acme.example").exists()
