"""ClickHouse has no row security of ours: the one door to it adds the tenant to every reading, whatever a statement says or forgets."""

from __future__ import annotations

import ast
from datetime import timedelta
from pathlib import Path

import pytest

import metering.event_store
from metering.event_store import store
from metering.event_store.client.tenant_door import TABLES, TenantDoor
from metering.event_store.entries import TouchedHour
from metering.event_store.schema import TABLES as STATEMENTS
from metering.ledger import ingestion, rollups
from tenants import access
from tests.metering.event_store.seeing import booked, rolled_up
from tests.metering.events import event

pytestmark = pytest.mark.django_db


@pytest.fixture
def both(clickhouse, acme, globex, now):
    """The same ids for two tenants, with other amounts; some moved on, some waiting."""
    for tenant, quantity in ((acme, 5), (globex, 7000)):
        ingestion.book(tenant, [event("same", now, quantity), event(f"only-{tenant.slug}", now, quantity)], now)
    store().settle()
    for tenant, quantity in ((acme, 5), (globex, 7000)):
        ingestion.book(tenant, [event("waits", now, quantity)], now)
    return clickhouse


@pytest.mark.parametrize(
    "forgetful",
    [
        "SELECT tenant_id, sum(quantity_micro) FROM usage_event GROUP BY tenant_id",
        "SELECT tenant_id, event_id FROM usage_event FINAL",
        "SELECT DISTINCT tenant_id, meter FROM event_identity",
        "SELECT tenant_id, count() FROM (SELECT * FROM usage_event WHERE tenant_id > 0 OR 1) GROUP BY tenant_id",
        "SELECT a.tenant_id, a.event_id FROM usage_event a JOIN usage_event b ON a.event_id = b.event_id",
        "SELECT tenant_id, 1 FROM usage_event UNION ALL SELECT tenant_id, 2 FROM event_identity",
    ],
)
def test_a_statement_that_forgets_the_tenant(both, acme, globex, forgetful):
    assert {row[0] for row in both.rows(forgetful)} == {acme.pk, globex.pk}  # what it would see without the door
    for tenant in (acme, globex):
        assert {row[0] for row in TenantDoor(both, tenant.pk).rows(forgetful)} == {tenant.pk}


def test_a_statement_that_asks_for_another(both, acme, globex):
    asked = f"SELECT count() FROM usage_event WHERE tenant_id = {globex.pk}"
    assert TenantDoor(both, acme.pk).rows(asked) == [[0]]


def test_every_table_with_a_tenant_is_behind_the_door():
    assert {statement.split()[5] for statement in STATEMENTS} == set(TABLES)
    assert all("tenant_id Int64" in statement and "ORDER BY (tenant_id, " in statement for statement in STATEMENTS)


def test_every_answer_of_the_store_is_the_tenants_own(both, acme, globex, now):
    start, end = now - timedelta(days=1), now + timedelta(days=1)
    for tenant, quantity in ((acme, 5 * 10**6), (globex, 7000 * 10**6)):
        assert {row[4] for row in booked(tenant)} == {quantity}
        assert store().count(tenant.pk, start, end) == 3
        assert store().micro(tenant.pk, "gpu_hours", [(start, end)]) == 3 * quantity
        original = store().originals(tenant.pk, [("/gpu/node-1", "same")])["/gpu/node-1", "same"]
        assert original.net_micro == quantity
        assert sum(store().amounts(tenant.pk, [TouchedHour("gpu_hours", start, end)]).params["event_counts"]) == 3
    assert set(store().fingerprints(acme.pk, [("/gpu/node-1", "only-globex"), ("/gpu/node-1", "same")])) == {
        ("/gpu/node-1", "same")
    }
    rollups.run(now)
    assert [row[3] for row in rolled_up(acme)] == [15 * 10**6]


def test_booking_and_reading_work_inside_a_tenants_scope(both, acme, globex, now):
    with access.tenant_scope(acme):
        assert [
            each.status for each in ingestion.book(acme, [event("in-scope", now, 5), event("same", now, 5)], now)
        ] == ["accepted", "duplicate"]
        assert len(booked(acme)) == 4
        with pytest.raises(Exception, match="row-level security"):
            ingestion.book(globex, [event("forged", now, 5)], now)


def test_the_store_reads_tenants_rows_through_the_door_only():
    """In clickhouse.py `client.rows` is called for months and years of the whole ledger, and for nothing with a tenant in it."""
    source = Path(metering.event_store.__file__).with_name("clickhouse.py").read_text()
    direct = [
        ast.unparse(call.args[0])
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "self.client.rows"
    ]
    assert sorted(direct) == ["_IDENTITY_YEARS", "_MONTHS"]
