from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from metering.models import WebhookDelivery
from metering.webhooks import endpoints
from tenants import provisioning
from tenants.limiting import blocks
from tenants.models import Tenant

NOW = datetime(2026, 7, 15, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _endpoint(acme: Tenant, globex: Tenant) -> None:
    for tenant in (acme, globex):
        endpoints.create(tenant, "https://hooks.example.org/in", [], "", "user:alice")


def told(tenant: Tenant) -> list[tuple[str, dict[str, Any]]]:
    rows = WebhookDelivery.objects.filter(tenant=tenant).order_by("pk")
    return [(row.event_type, json.loads(row.body)["data"]) for row in rows]


def test_a_block_and_its_end(acme: Tenant, globex: Tenant) -> None:
    for _ in range(2):  # putting it in force again is no news
        block = blocks.put(
            acme, "block", code="budget_exhausted", origin="budget:1:2026-07", detail="Spent.", until=NOW + timedelta(days=1),
            actor="budget", now=NOW,
        )  # fmt: skip
    for _ in range(2):
        blocks.lift([block], actor="budget", reason="Raised.", now=NOW + timedelta(hours=1))

    assert [(event, data["action"], data["reason"]) for event, data in told(acme)] == [
        ("tenant.blocked", "block", "Spent."), ("tenant.resumed", "block", "Raised."),
    ]  # fmt: skip
    assert told(globex) == []


def test_suspension_and_its_end(acme: Tenant) -> None:
    provisioning.suspend(acme, actor="user:olivia", reason="Unpaid.")
    provisioning.resume(acme, actor="user:olivia")

    assert [(event, data["action"]) for event, data in told(acme)] == [
        ("tenant.blocked", "suspended"), ("tenant.resumed", "suspended"),
    ]  # fmt: skip
