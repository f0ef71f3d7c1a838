"""Events that came before their month's partition was there lie in the default partition; making the month's moves them over."""

from django.db import migrations

FORWARD = r"""
CREATE OR REPLACE FUNCTION metering_keep_partitions(first date, last date) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    month date := date_trunc('month', first)::date;
    lower_bound timestamptz;
    upper_bound timestamptz;
    name text;
    made int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(7302);
    WHILE month <= last LOOP
        name := 'metering_usageevent_' || to_char(month, 'YYYYMM');
        lower_bound := month::timestamp AT TIME ZONE 'UTC';
        upper_bound := (month + interval '1 month')::timestamp AT TIME ZONE 'UTC';
        IF to_regclass(name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE metering_usageevent INCLUDING ALL)', name);
            LOCK TABLE metering_usageevent_rest IN SHARE ROW EXCLUSIVE MODE;
            IF EXISTS (SELECT FROM metering_usageevent_rest WHERE "time" >= lower_bound AND "time" < upper_bound) THEN
                -- The ledger stays append-only: nothing is lost or changed here, and only its owner can do this.
                ALTER TABLE metering_usageevent_rest DISABLE TRIGGER append_only;
                EXECUTE format(
                    'WITH moved AS (DELETE FROM metering_usageevent_rest WHERE "time" >= %L AND "time" < %L RETURNING *)
                     INSERT INTO %I SELECT * FROM moved', lower_bound, upper_bound, name);
                ALTER TABLE metering_usageevent_rest ENABLE TRIGGER append_only;
            END IF;
            EXECUTE format('ALTER TABLE metering_usageevent ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                           name, lower_bound, upper_bound);
            made := made + 1;
        END IF;
        month := (month + interval '1 month')::date;
    END LOOP;
    RETURN made;
END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("metering", "0011_identity_without_brin")]
    operations = [migrations.RunSQL(FORWARD, migrations.RunSQL.noop)]
