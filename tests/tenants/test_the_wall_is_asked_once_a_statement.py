from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import connection

from tenants import access
from tenants.database import row_security
from tenants.models import Membership
from tests.tenants.cast import Cast

OLD = "current_user <> 'portal_tenant' OR tenant_id = NULLIF(current_setting('app.tenant', true), '')::bigint"


def plan(cast: Cast) -> list[str]:
    with access.tenant_scope(cast.acme), connection.cursor() as cursor:
        cursor.execute("EXPLAIN SELECT * FROM tenants_membership")
        return [line.strip() for (line,) in cursor.fetchall()]


def made() -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename, qual, with_check FROM pg_policies WHERE policyname = 'tenant_wall'")
        return {table: conditions for table, *conditions in cursor.fetchall()}


def test_a_scan_compares_rows_with_what_was_asked_before(cast: Cast) -> None:
    lines = plan(cast)
    assert any(line.startswith("InitPlan") for line in lines), lines
    (condition,) = [line for line in lines if line.startswith("Filter:")]
    assert "current_setting" not in condition
    assert "CURRENT_USER" not in condition.upper()


def test_a_wall_of_an_older_release_is_built_anew(cast: Cast) -> None:
    now = made()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # no trigger of the cast waits
        cursor.execute(f"ALTER POLICY tenant_wall ON tenants_membership USING ({OLD}) WITH CHECK ({OLD})")
        cursor.execute("COMMENT ON POLICY tenant_wall ON tenants_membership IS NULL")
    assert made() != now
    row_security.after_migrate(apps.get_app_config("metering"), "default")
    assert made() == now
    with access.tenant_scope(cast.acme):
        assert set(Membership.objects.values_list("tenant_id", flat=True)) == {cast.acme.pk}


def test_walls_that_stand_are_left_alone(cast: Cast) -> None:
    def identities() -> dict[str, int]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT polrelid::regclass::text, oid FROM pg_policy")
            return dict(cursor.fetchall())

    before = identities()
    row_security.after_migrate(apps.get_app_config("metering"), "default")
    assert identities() == before
