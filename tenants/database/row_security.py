"""Row-level security: PostgreSQL as the second wall between tenants.

Code that serves a tenant runs as the role `portal_tenant` with `app.tenant` set (see `access.tenant_scope`). In that role a table
with a `tenant_id` shows and takes only that tenant's rows, and the tables named in `READABLE` can be read; everything else is
refused by missing grants. `after_migrate` brings grants and policies in line with the models, so a new table cannot be forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.apps import AppConfig, apps
from django.db import connections, models

ROLE = "portal_tenant"
APPS = ("tenants", "metering")

READABLE = frozenset({
    "tenants.User", "tenants.Tier", "tenants.TierRateLimit", "tenants.TierQuota",
    "metering.Meter", "metering.PriceBook", "metering.PriceBookVersion", "metering.Price", "metering.TierPriceBook",
})  # fmt: skip
"""Tables without a tenant that tenant-serving code reads: plans, meters and prices are the same for all, and members' names."""

READ_ONLY = frozenset({
    "tenants.Tenant", "tenants.AuditEntry", "tenants.TierHistory", "tenants.Visit", "tenants.RefusedHour",
    "metering.Invoice", "metering.InvoiceLine", "metering.CreditNote", "metering.Payment", "metering.InvoiceDocument",
    "metering.MonitoringAlert",
    "metering.GapShare", "metering.PriceDryRunRow", "metering.UnknownUsage", "metering.GpuHolderHour", "metering.EmptyMonth", "metering.OwedAnnouncement",
    "metering.GpuNotice", "metering.GpuOwnerRule",
})  # fmt: skip
"""Tenant tables that the role may read but never write."""


def tenant_models() -> list[type[models.Model]]:
    """Every concrete model of our apps with a `tenant` foreign key (tenants.Tenant itself included)."""
    found = []
    for app in APPS:
        for model in apps.get_app_config(app).get_models(include_auto_created=True):
            if tenant_column(model) is not None:
                found.append(model)  # noqa: PERF401  (a nested comprehension reads worse)
    return found


def tenant_column(model: type[models.Model]) -> str | None:
    """The column that names the row's tenant, or None."""
    if model._meta.label == "tenants.Tenant":
        return "id"
    return next((field.column for field in model._meta.concrete_fields if field.column == "tenant_id"), None)


def after_migrate(app_config: AppConfig, using: str, **_: Any) -> None:
    """post_migrate: create the role, grant what it needs, and switch row security on where it is not. Idempotent."""
    if app_config.label != APPS[-1]:
        return
    with connections[using].cursor() as cursor:
        cursor.execute(
            f"""
            DO $$ BEGIN
                IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') THEN CREATE ROLE {ROLE} NOLOGIN; END IF;
            EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; -- another database of this cluster made it just now
            END $$
            """
        )
        # From PostgreSQL 16 on, creating a role gives the right to administer it, not yet the right to become it.
        version: int = connections[using].pg_version  # type: ignore[attr-defined]  # of the PostgreSQL backend
        can_become = "SET" if version >= 160000 else "MEMBER"
        cursor.execute("SELECT pg_has_role(current_user, %s, %s)", [ROLE, can_become])
        if not cursor.fetchone()[0]:
            cursor.execute(f"GRANT {ROLE} TO CURRENT_USER")
        cursor.execute(f"GRANT USAGE ON SCHEMA public TO {ROLE}")
        cursor.execute(
            """
            SELECT relname, obj_description(policy.oid, 'pg_policy') FROM pg_policy policy JOIN pg_class ON pg_class.oid = polrelid
            WHERE polname = 'tenant_wall' AND relforcerowsecurity AND relnamespace = 'public'::regnamespace
            """
        )
        policies = dict(cursor.fetchall())
        for app in APPS:
            for model in apps.get_app_config(app).get_models(include_auto_created=True):
                _secure(cursor, model, policies)


def _secure(cursor: Any, model: type[models.Model], policies: Mapping[str, str | None]) -> None:
    """`policies`: by table, the condition that its policy was made with."""
    table, label, column = model._meta.db_table, model._meta.label, tenant_column(model)
    if column is None:
        if label in READABLE:
            cursor.execute(f'GRANT SELECT ON "{table}" TO {ROLE}')
        return
    cursor.execute(
        f'GRANT {"SELECT" if label in READ_ONLY else "SELECT, INSERT, UPDATE, DELETE"} ON "{table}" TO {ROLE}'
    )
    cursor.execute(
        "SELECT pg_get_serial_sequence(%s, 'id') WHERE EXISTS (SELECT FROM information_schema.columns WHERE table_name = %s AND column_name = 'id')",
        [table, table],
    )
    sequence = cursor.fetchone()
    if sequence and sequence[0]:
        cursor.execute(f"GRANT USAGE ON SEQUENCE {sequence[0]} TO {ROLE}")
    # In sub-selects they are asked once for each statement; written plainly, once for each row, which doubles the time of a long read.
    tenant = "(SELECT NULLIF(current_setting('app.tenant', true), '')::bigint)"
    mine = f"(SELECT current_user <> '{ROLE}') OR {column} = {tenant}"
    if policies.get(table) != mine:
        cursor.execute(f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY')
        cursor.execute(f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY')
        cursor.execute(f'DROP POLICY IF EXISTS tenant_wall ON "{table}"')
        cursor.execute(f'CREATE POLICY tenant_wall ON "{table}" USING ({mine}) WITH CHECK ({mine})')
        cursor.execute(f'COMMENT ON POLICY tenant_wall ON "{table}" IS %s', [mine])
