"""Ids of collectors can be guessed. Who could send events under them would make tomorrow's readings conflicts, or correct yesterday's away."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from metering.collecting import rounds
from metering.ledger import ingestion

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 7, 15, 12, 0, tzinfo=UTC)
SOURCE = rounds.source_of("volumes", "node-1")


def send(tenant, **changes):
    event = {
        "specversion": "1.0",
        "source": "/cluster",
        "id": "e1",
        "type": "storage_bytes",
        "time": NOW,
        "data": {"quantity": 1},
    }
    (result,) = ingestion.book(tenant, [event | changes], NOW)
    return result.status, result.code


def test_its_source_is_reserved(acme):
    assert send(acme, source=SOURCE) == ("rejected", "reserved_source")
    assert send(acme, source="/portal/anything") == ("rejected", "reserved_source")


def test_its_readings_cannot_be_corrected_by_others(acme):
    correction = {"quantity": -1, "corrects": {"source": SOURCE, "id": "fast:20260715T120000Z"}}

    assert send(acme, data=correction) == ("rejected", "reserved_source")


def test_every_other_source_is_free(acme):
    assert send(acme, source="/portal") == ("accepted", "")
    assert send(acme, source="/cluster/portal/collectors/node-1/volumes") == ("accepted", "")
