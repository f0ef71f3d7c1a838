"""Database triggers that keep started prices as they were."""

from __future__ import annotations

import pgtrigger


def frozen_version() -> pgtrigger.Trigger:
    """Refuse any change to, and the deletion of, a published version that has started."""
    return pgtrigger.Trigger(
        name="frozen",
        when=pgtrigger.Before,
        operation=pgtrigger.Update | pgtrigger.Delete,
        func="""
            IF OLD.published_at IS NOT NULL AND OLD.starts_at <= now() THEN
                RAISE EXCEPTION 'price version % has started and never changes', OLD.id USING ERRCODE = 'check_violation';
            END IF;
            RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
        """,
    )


def one_book_at_a_time() -> pgtrigger.Trigger:
    """Refuse a tenant's book whose time overlaps another's: two prices at once would be a guess."""
    return pgtrigger.Trigger(
        name="one_at_a_time",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert | pgtrigger.Update,
        func="""
            PERFORM pg_advisory_xact_lock(7304, NEW.tenant_id::int);
            IF EXISTS (
                SELECT FROM metering_tenantpricebook other
                WHERE other.tenant_id = NEW.tenant_id AND other.id <> NEW.id
                  AND tstzrange(other.starts_at, other.ends_at) && tstzrange(NEW.starts_at, NEW.ends_at)
            ) THEN
                RAISE EXCEPTION 'the tenant has another price book of its own in that time' USING ERRCODE = 'exclusion_violation';
            END IF;
            RETURN NEW;
        """,
    )


def frozen_prices() -> pgtrigger.Trigger:
    """Refuse to add, change or remove a price of a published version that has started."""
    return pgtrigger.Trigger(
        name="frozen",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
        func="""
            IF EXISTS (
                SELECT FROM metering_pricebookversion v
                WHERE v.id IN (CASE WHEN TG_OP <> 'INSERT' THEN OLD.version_id END, CASE WHEN TG_OP <> 'DELETE' THEN NEW.version_id END)
                  AND v.published_at IS NOT NULL AND v.starts_at <= now()
            ) THEN
                RAISE EXCEPTION 'prices of a started version never change' USING ERRCODE = 'check_violation';
            END IF;
            RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
        """,
    )


def frozen_once_started() -> pgtrigger.Trigger:
    """What a tier pays by from an instant on can be taken back until then; later a new row changes it, and the past stays."""
    return pgtrigger.Trigger(
        name="frozen",
        when=pgtrigger.Before,
        operation=pgtrigger.Update | pgtrigger.Delete,
        func="""
            IF OLD.starts_at <= statement_timestamp() THEN
                RAISE EXCEPTION 'the book has been in force for the tier; let another one start' USING ERRCODE = 'check_violation';
            END IF;
            RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
        """,
    )


def keeps_its_past() -> pgtrigger.Trigger:
    """What a tenant has paid by stays: of a book that has started for it only the end moves; one that has not started can be taken back."""
    return pgtrigger.Trigger(
        name="frozen",
        when=pgtrigger.Before,
        operation=pgtrigger.Update | pgtrigger.Delete,
        func="""
            IF OLD.starts_at <= statement_timestamp()
               AND (TG_OP = 'DELETE' OR to_jsonb(OLD) - 'ends_at' IS DISTINCT FROM to_jsonb(NEW) - 'ends_at') THEN
                RAISE EXCEPTION 'the tenant has paid by the book; only its end can change' USING ERRCODE = 'check_violation';
            END IF;
            RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
        """,
    )
