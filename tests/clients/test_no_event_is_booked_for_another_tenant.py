"""A gateway of many tenants whose keys it does not have keeps their events; it never sends them with its own key."""

from __future__ import annotations

from typing import Any

import pytest
from aurelius import Client, Decision, Events
from aurelius.middleware import Caller

from metering.models import UsageEvent
from tenants.credentials import apikeys
from tenants.models import Tenant
from tests.clients.serving import Scripted, accepted, wait_until

OWN = "gpk_live_acme_abcdefgh23456723_" + "s" * 43


def answer(number: int, asked: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
    return 200, {}, accepted(asked)


def failing(tenant: str) -> str:
    raise ConnectionError("the vault is away")


@pytest.mark.parametrize("key_of", [None, {}, {"globex": ""}, failing], ids=["none", "missing", "empty", "a failure"])
def test_it_waits_for_the_key_and_others_go_on(key_of: Any) -> None:
    with Scripted(answer) as portal:
        events = Events(Client(portal.url, OWN), key_of=key_of, every=0.01)
        Caller(Decision(200, [], b"", "globex", "u"), events).record("gpu_seconds", 7)
        events.send("gpu_seconds", 1, id="own")
        wait_until(lambda: events.accepted == 1, "the gateway's own event waits behind another's")
        assert len(events) == 1
        events.close(timeout=0)
    assert [event["id"] for asked in portal.asked for event in asked["body"]] == ["own"]


def test_a_gateway_of_one_tenant_needs_no_more_than_its_key() -> None:
    with Scripted(answer) as portal, Events(Client(portal.url, OWN), every=600) as events:
        Caller(Decision(200, [], b"", "acme", "u"), events).record("gpu_seconds", 7, id="own")
    assert [event["id"] for asked in portal.asked for event in asked["body"]] == ["own"]


def test_keys_that_were_mixed_up_book_nothing(portal: str, acme: Tenant) -> None:
    key = apikeys.create(acme, name="gateway", scopes=["usage:write"], by=None, actor="test").text
    events = Events(Client(portal, key), key_of={"globex": key}, every=0.01)
    events.send("gpu_seconds", 7, id="globex's", tenant="globex")
    events.send("gpu_seconds", 1, id="acme's")
    wait_until(lambda: events.accepted == 1 and events._held, "the portal is not asked for both")
    assert not events.close(timeout=0)
    assert [event.event_id for event in UsageEvent.objects.all()] == ["acme's"]
