"""Database triggers that freeze what has been invoiced."""

from __future__ import annotations

import pgtrigger

_STATE_COLUMNS = "ARRAY['state', 'paid_at', 'voided_at', 'void_reason']"


def frozen_invoice() -> pgtrigger.Trigger:
    """A draft may change and be deleted. After that only the state moves: issued → paid or void, and nothing is deleted."""
    return pgtrigger.Trigger(
        name="frozen",
        when=pgtrigger.Before,
        operation=pgtrigger.Update | pgtrigger.Delete,
        func=f"""
            IF OLD.state = 'draft' THEN
                RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
            END IF;
            IF TG_OP = 'DELETE'
               OR to_jsonb(OLD) - {_STATE_COLUMNS} IS DISTINCT FROM to_jsonb(NEW) - {_STATE_COLUMNS}
               OR NOT (OLD.state = NEW.state OR OLD.state = 'issued' AND NEW.state IN ('paid', 'void')) THEN
                RAISE EXCEPTION 'invoice % is issued and never changes; write a credit note', OLD.number USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        """,
    )


def frozen_lines() -> pgtrigger.Trigger:
    """Lines change only while their invoice is a draft. Each question names one id: a list of two was answered without the index."""
    return pgtrigger.Trigger(
        name="frozen",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
        func="""
            IF TG_OP <> 'INSERT' AND EXISTS (SELECT FROM metering_invoice WHERE id = OLD.invoice_id AND state <> 'draft')
               OR TG_OP <> 'DELETE' AND EXISTS (SELECT FROM metering_invoice WHERE id = NEW.invoice_id AND state <> 'draft') THEN
                RAISE EXCEPTION 'lines of an issued invoice never change; write a credit note' USING ERRCODE = 'check_violation';
            END IF;
            RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
        """,
    )


def no_truncate() -> pgtrigger.Trigger:
    """Refuse TRUNCATE."""
    return pgtrigger.Trigger(
        name="no_truncate",
        when=pgtrigger.Before,
        operation=pgtrigger.Truncate,
        level=pgtrigger.Statement,
        func="RAISE EXCEPTION '% cannot be truncated', TG_TABLE_NAME USING ERRCODE = 'check_violation';",
    )
