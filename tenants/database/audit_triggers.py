"""Database triggers that models declare: audited, immutable columns, append-only tables.

They live in the database so that bulk updates, SQL shells and other programs obey them too.
"""

from __future__ import annotations

from collections.abc import Sequence

import pgtrigger


def audited(*, tenant_column: str = "tenant_id", ignore: Sequence[str] = ()) -> pgtrigger.Trigger:
    """Write an AuditEntry for every insert, update and delete of a row; `ignore` names columns whose change alone is no news."""
    ignored = "ARRAY[" + ", ".join(f"'{column}'" for column in ignore) + "]::text[]"
    return pgtrigger.Trigger(
        name="audit",
        when=pgtrigger.After,
        operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
        func=f"""
            PERFORM tenants_audit_row(
                TG_TABLE_NAME::text, TG_OP, '{tenant_column}', {ignored},
                CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE to_jsonb(OLD) END,
                CASE WHEN TG_OP = 'DELETE' THEN NULL ELSE to_jsonb(NEW) END
            );
            RETURN NULL;
        """,
    )


def immutable(*columns: str) -> pgtrigger.Trigger:
    """Refuse an update that changes one of the database columns."""
    changed = " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in columns)
    return pgtrigger.Trigger(
        name="immutable",
        when=pgtrigger.Before,
        operation=pgtrigger.Update,
        func=f"""
            IF {changed} THEN
                RAISE EXCEPTION 'immutable column of %: {", ".join(columns)}', TG_TABLE_NAME USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        """,
    )


def remembered_tier() -> pgtrigger.Trigger:
    """Keep since when a tenant is on which tier."""
    return pgtrigger.Trigger(
        name="remember_tier",
        when=pgtrigger.After,
        operation=pgtrigger.Insert | pgtrigger.UpdateOf("tier_id"),
        func="""
            IF TG_OP = 'INSERT' OR NEW.tier_id <> OLD.tier_id THEN
                INSERT INTO tenants_tierhistory (tenant_id, tier_id, starts_at)
                VALUES (NEW.id, NEW.tier_id, statement_timestamp());
            END IF;
            RETURN NULL;
        """,
    )


def append_only(*, deletes: bool = False) -> list[pgtrigger.Trigger]:
    """Refuse UPDATE and TRUNCATE, and DELETE unless `deletes` allows it (retention)."""
    refuse = "RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'check_violation';"
    operation = pgtrigger.Update if deletes else pgtrigger.Update | pgtrigger.Delete
    return [
        pgtrigger.Trigger(name="append_only", when=pgtrigger.Before, operation=operation, func=refuse),
        pgtrigger.Trigger(
            name="no_truncate",
            when=pgtrigger.Before,
            operation=pgtrigger.Truncate,
            level=pgtrigger.Statement,
            func=refuse,
        ),
    ]
