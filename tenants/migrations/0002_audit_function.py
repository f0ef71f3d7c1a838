"""The function behind every audit trigger, and the check of its chain."""

from django.db import migrations

FORWARD = r"""
CREATE FUNCTION tenants_audit_hash(previous text, at timestamptz, tenant bigint, actor text, reason text, table_name text,
                                   row_id text, operation text, old_row jsonb, new_row jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT encode(sha256(convert_to(jsonb_build_array(
        previous, extract(epoch FROM at)::text, tenant, actor, reason, table_name, row_id, operation, old_row, new_row
    )::text, 'UTF8')), 'hex')
$$;

CREATE FUNCTION tenants_audit_row(table_name text, operation text, tenant_column text, ignored text[], old_row jsonb, new_row jsonb)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    hidden CONSTANT text[] := ARRAY['digest', 'password', 'secret', 'previous_secret'];
    whole jsonb := COALESCE(new_row, old_row);
    tenant bigint := (whole ->> tenant_column)::bigint;
    actor text := COALESCE(NULLIF(current_setting('app.actor', true), ''), 'db:' || session_user);
    reason text := COALESCE(current_setting('app.reason', true), '');
    entry_at timestamptz;
    changed text[];
    name text;
    previous text;
BEGIN
    IF operation = 'UPDATE' THEN
        SELECT array_agg(key) INTO changed FROM jsonb_each(new_row) WHERE value IS DISTINCT FROM old_row -> key;
        IF changed IS NULL OR changed <@ ignored THEN
            RETURN;
        END IF;
        SELECT jsonb_object_agg(key, value) INTO old_row FROM jsonb_each(old_row) WHERE key = ANY (changed);
        SELECT jsonb_object_agg(key, value) INTO new_row FROM jsonb_each(new_row) WHERE key = ANY (changed);
    END IF;
    FOREACH name IN ARRAY hidden LOOP
        IF old_row ? name THEN old_row := jsonb_set(old_row, ARRAY[name], '"(hidden)"'); END IF;
        IF new_row ? name THEN new_row := jsonb_set(new_row, ARRAY[name], '"(hidden)"'); END IF;
    END LOOP;
    -- One chain per tenant: the lock keeps two transactions from linking to the same predecessor.
    PERFORM pg_advisory_xact_lock(7301, (COALESCE(tenant, 0) % 2147483647)::int);
    IF tenant IS NULL THEN
        SELECT e.hash INTO previous FROM tenants_auditentry e WHERE e.tenant_id IS NULL ORDER BY e.id DESC LIMIT 1;
    ELSE
        SELECT e.hash INTO previous FROM tenants_auditentry e WHERE e.tenant_id = tenant ORDER BY e.id DESC LIMIT 1;
    END IF;
    previous := COALESCE(previous, '');
    entry_at := clock_timestamp();
    INSERT INTO tenants_auditentry (at, tenant_id, actor, reason, table_name, row_id, operation, old, new, previous_hash, hash)
    VALUES (
        entry_at, tenant, actor, reason, table_name, COALESCE(whole ->> 'id', whole ->> 'key', ''), operation, old_row, new_row, previous,
        tenants_audit_hash(previous, entry_at, tenant, actor, reason, table_name, COALESCE(whole ->> 'id', whole ->> 'key', ''),
                           operation, old_row, new_row)
    );
END
$$;

-- Rows whose link or hash does not fit: an empty answer proves that nobody has changed the trail.
CREATE FUNCTION tenants_audit_broken() RETURNS TABLE (id bigint, problem text) LANGUAGE sql STABLE AS $$
    SELECT e.id, CASE WHEN e.link <> e.previous_hash THEN 'a predecessor is missing' ELSE 'the entry was changed' END
    FROM (
        SELECT a.*, COALESCE(lag(a.hash) OVER (PARTITION BY a.tenant_id ORDER BY a.id), '') AS link FROM tenants_auditentry a
    ) e
    WHERE e.link <> e.previous_hash
       OR e.hash <> tenants_audit_hash(e.previous_hash, e.at, e.tenant_id, e.actor, e.reason, e.table_name, e.row_id, e.operation, e.old, e.new)
    ORDER BY e.id
$$;
"""

REVERSE = """
DROP FUNCTION tenants_audit_broken();
DROP FUNCTION tenants_audit_row(text, text, text, text[], jsonb, jsonb);
DROP FUNCTION tenants_audit_hash(text, timestamptz, bigint, text, text, text, text, text, jsonb, jsonb);
"""


class Migration(migrations.Migration):
    dependencies = [("tenants", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, REVERSE)]
