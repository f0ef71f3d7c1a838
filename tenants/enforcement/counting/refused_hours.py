"""Writing what limits refused: see refusals.py for the counts, tenants/limiting/refused_calls.py for who reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from django.db import connection

from .refusals import Row


def record(rows: Mapping[Row, int]) -> None:
    """Add refusals to their hours, in one statement. Tenants that are gone are left out."""
    given = [
        {"slug": slug, "hour": datetime.fromtimestamp(hour, UTC).isoformat(), "key": key, "by": by, "calls": calls}
        for (slug, hour, key, by), calls in sorted(
            rows.items()
        )  # one order, so that two writers wait and never lock up
    ]
    with connection.cursor() as cursor:
        cursor.execute(_RECORD, [json.dumps(given)])


_RECORD = """
    INSERT INTO tenants_refusedhour AS kept (tenant_id, hour, key_id, refused_by, calls)
    SELECT tenant.id, given.hour, given.key, given.by, given.calls
    FROM jsonb_to_recordset(%s::jsonb) AS given(slug text, hour timestamptz, key text, by text, calls bigint)
    JOIN tenants_tenant tenant ON tenant.slug = given.slug
    ON CONFLICT (tenant_id, hour, key_id, refused_by) DO UPDATE SET calls = kept.calls + EXCLUDED.calls
"""
