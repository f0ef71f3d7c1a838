"""The usage ledger: partitioned by month of event time, append-only."""

from django.db import migrations

FORWARD = r"""
CREATE SEQUENCE metering_usageevent_id;

CREATE TABLE metering_usageevent (
    tenant_id bigint NOT NULL,
    "time" timestamptz NOT NULL,
    id bigint NOT NULL DEFAULT nextval('metering_usageevent_id'),
    meter varchar(40) NOT NULL,
    source varchar(200) NOT NULL,
    event_id varchar(200) NOT NULL,
    quantity_micro numeric(38, 0) NOT NULL,
    dims jsonb NOT NULL DEFAULT '{}',
    corrects_source varchar(200),
    corrects_id varchar(200),
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, "time", id)
) PARTITION BY RANGE ("time");
ALTER SEQUENCE metering_usageevent_id OWNED BY metering_usageevent.id;

CREATE INDEX metering_usageevent_meter ON metering_usageevent (tenant_id, meter, "time");
CREATE INDEX metering_usageevent_received ON metering_usageevent USING brin (received_at);
CREATE TABLE metering_usageevent_rest PARTITION OF metering_usageevent DEFAULT;

-- Make the month partitions that cover [first, last]; answers how many were new. Safe to run twice at once.
CREATE FUNCTION metering_keep_partitions(first date, last date) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    month date := date_trunc('month', first)::date;
    name text;
    made int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(7302);
    WHILE month <= last LOOP
        name := 'metering_usageevent_' || to_char(month, 'YYYYMM');
        IF to_regclass(name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF metering_usageevent FOR VALUES FROM (%L) TO (%L)',
                           name, month::timestamp AT TIME ZONE 'UTC', (month + interval '1 month')::timestamp AT TIME ZONE 'UTC');
            made := made + 1;
        END IF;
        month := (month + interval '1 month')::date;
    END LOOP;
    RETURN made;
END
$$;
SELECT metering_keep_partitions((now() - interval '2 months')::date, (now() + interval '3 months')::date);

CREATE FUNCTION metering_usageevent_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the usage ledger is append-only; send a correction event' USING ERRCODE = 'check_violation';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON metering_usageevent
    FOR EACH ROW EXECUTE FUNCTION metering_usageevent_append_only();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON metering_usageevent
    FOR EACH STATEMENT EXECUTE FUNCTION metering_usageevent_append_only();

-- Absolute counts only grow.
CREATE FUNCTION metering_counter_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR NEW.count < OLD.count THEN
        RAISE EXCEPTION 'a call counter never shrinks' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER grows BEFORE UPDATE OR DELETE ON metering_callcounter FOR EACH ROW EXECUTE FUNCTION metering_counter_grows();
CREATE TRIGGER grows BEFORE UPDATE OR DELETE ON metering_processcounter FOR EACH ROW EXECUTE FUNCTION metering_counter_grows();
"""

REVERSE = """
DROP TRIGGER grows ON metering_callcounter;
DROP TRIGGER grows ON metering_processcounter;
DROP FUNCTION metering_counter_grows();
DROP TABLE metering_usageevent;
DROP FUNCTION metering_usageevent_append_only();
DROP FUNCTION metering_keep_partitions(date, date);
DROP SEQUENCE metering_usageevent_id;
"""


class Migration(migrations.Migration):
    dependencies = [("metering", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, REVERSE)]
