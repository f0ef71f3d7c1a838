"""A report that reads ClickHouse fails when that is away: asking again on the primary would only wait once more, and the replica is well."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg
import pytest
from django.db import OperationalError

from metering.event_store.protocol import StoreUnavailableError
from tenants.database import replica

READ_AT = datetime(2026, 7, 29, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def there_is_a_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def on_replica() -> Iterator[datetime]:
        yield READ_AT

    monkeypatch.setattr(replica, "configured", lambda: True)
    monkeypatch.setattr(replica, "_on_replica", on_replica)
    monkeypatch.setattr(replica, "_away_until", 0.0)


def test_the_engines_error_is_told_at_once():
    asked = []

    def work() -> None:
        asked.append(1)
        raise StoreUnavailableError("ClickHouse does not answer")

    with pytest.raises(StoreUnavailableError):
        replica.read(work)
    assert asked == [1]
    assert replica.read(lambda: "next") == ("next", READ_AT), "the replica is asked on"


def test_the_replicas_own_error_sends_to_the_primary():
    asked = []

    def work() -> str:
        asked.append(1)
        if len(asked) == 1:
            raise OperationalError("gone") from psycopg.OperationalError("gone")
        return "primary"

    assert replica.read(work) == ("primary", None)
    assert replica.read(lambda: "next") == ("next", None), "it was away a moment ago"
