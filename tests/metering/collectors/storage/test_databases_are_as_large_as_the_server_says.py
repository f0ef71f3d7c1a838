"""PostgreSQL: databases and schemas on the real server."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection

from metering.collectors.storage.databases import PostgresCollector
from metering.models import CollectorState
from tests.metering.collectors.conftest import START


@pytest.fixture
def collector(db, server_environment, tmp_path: Path) -> PostgresCollector:
    dsn = tmp_path / "dsn"
    dsn.write_text(server_environment["DATABASE_URL"] + "\n")
    return PostgresCollector(
        "databases", "node-1", dsn, {connection.settings_dict["NAME"]: "acme"}, tenants={"acme", "globex"}
    )


def run(collector: PostgresCollector, after: float = 0, seconds: float = 30):
    return collector.collect(START + timedelta(seconds=after), time.monotonic() + seconds)


def test_a_database_is_read(collector):
    found = run(collector)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        size = cursor.fetchone()[0]

    assert found.state == CollectorState.OK, found.detail
    (event,) = found.events
    assert event.tenant == "acme"
    assert event.quantity_micro / 10**6 == pytest.approx(size, rel=0.05)


@pytest.mark.django_db(transaction=True)
def test_schemas_of_one_database_belong_to_different_tenants(collector):
    name = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE SCHEMA of_acme; CREATE TABLE of_acme.t AS SELECT repeat('x', 500) FROM generate_series(1, 2000)"
        )
        cursor.execute("CREATE SCHEMA of_globex")
        cursor.execute("SELECT pg_total_relation_size('of_acme.t')")
        size = cursor.fetchone()[0]
    schemas = replace(collector, databases={}, schemas={name: {"of_acme": "acme", "of_globex": "globex"}})
    found = run(schemas)

    assert {(e.tenant, e.dims["database"], e.quantity_micro) for e in found.events} == {
        ("acme", f"{name}.of_acme", size * 10**6), ("globex", f"{name}.of_globex", 0),
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA of_acme CASCADE")
    dropped = run(replace(schemas, memory=found.memory), 300)
    assert [e.quantity_micro for e in dropped.events if e.tenant == "acme"] == [0]
    assert [e for e in run(replace(schemas, memory=dropped.memory), 600).events if e.tenant == "acme"] == []


def test_a_database_that_never_was_is_a_gap_not_a_zero(collector):
    found = run(replace(collector, databases={"nothing_here": "acme"}))

    assert (found.events, found.state) == ((), CollectorState.UNAVAILABLE)
    assert found.detail == "nothing_here: There is no such database."


def test_a_server_that_is_away_is_a_gap_about_everything(collector, tmp_path):
    collector.dsn_file.write_text("postgres://nobody:none@127.0.0.1:9/none")
    found = run(collector)

    assert (found.state, found.events) == (CollectorState.UNAVAILABLE, ())
    assert found.detail.startswith("PostgreSQL:")
    assert "none@" not in found.detail


def test_a_missing_dsn_file_and_a_spent_deadline_are_told(collector, tmp_path):
    assert "No such file" in run(replace(collector, dsn_file=tmp_path / "none")).detail
    assert "no time was left" in run(collector, seconds=0).detail
