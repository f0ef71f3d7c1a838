"""Database triggers that freeze what has been invoiced."""

from __future__ import annotations

import pgtrigger

_STATE_COLUMNS = "ARRAY['state', 'paid_at', 'voided_at', 'void_reason']"


def frozen_invoice() -> pgtrigger.Trigger:
    """A draft may change and be deleted. After that only the state moves, once, and nothing is deleted: issued → paid when payments and
    credit notes make up the total, issued → void before there are any.
    """
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
               OR OLD.state = NEW.state AND to_jsonb(OLD) IS DISTINCT FROM to_jsonb(NEW)
               OR NOT (OLD.state = NEW.state OR OLD.state = 'issued' AND NEW.state IN ('paid', 'void')) THEN
                RAISE EXCEPTION 'invoice % is issued and never changes; write a credit note', OLD.number USING ERRCODE = 'check_violation';
            END IF;
            IF OLD.state <> NEW.state AND NEW.state = 'void' AND (
                EXISTS (SELECT FROM metering_payment WHERE invoice_id = OLD.id)
                OR EXISTS (SELECT FROM metering_creditnote WHERE invoice_id = OLD.id)
            ) THEN
                RAISE EXCEPTION 'invoice % has payments or credit notes', OLD.number USING ERRCODE = 'check_violation';
            END IF;
            IF OLD.state <> NEW.state AND NEW.state = 'paid' AND OLD.total >
                (SELECT COALESCE(sum(amount), 0) FROM metering_payment WHERE invoice_id = OLD.id)
                + (SELECT COALESCE(sum(total), 0) FROM metering_creditnote WHERE invoice_id = OLD.id) THEN
                RAISE EXCEPTION 'something is open on invoice %', OLD.number USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        """,  # noqa: S608  the columns are ours
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


def only_counts_up() -> pgtrigger.Trigger:
    """Numbers are taken and never given back: a sequence is not deleted, and its next number never falls."""
    return pgtrigger.Trigger(
        name="counts_up",
        when=pgtrigger.Before,
        operation=pgtrigger.Update | pgtrigger.Delete,
        func="""
            IF TG_OP = 'DELETE' THEN
                RAISE EXCEPTION 'numbers of documents are never given back' USING ERRCODE = 'check_violation';
            END IF;
            IF NEW.next_number < OLD.next_number OR NEW.entity_id <> OLD.entity_id OR NEW.kind <> OLD.kind
               OR NEW.next_number = OLD.next_number AND NEW.last_hash <> OLD.last_hash THEN
                RAISE EXCEPTION 'numbers of documents are never given back' USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
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
