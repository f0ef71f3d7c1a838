"""Calls that a limit refused, by hour and key: written by the enforcing processes, read by "who hits limits most"."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection
from django.db.models import QuerySet

from .models import RefusedHour, Tenant

KEEP = timedelta(days=35)
MOST = 10
"""As many users and keys are listed."""

Row = tuple[str, int, str, str]
"""As enforcement.refusals.Row."""


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


@dataclass(frozen=True)
class Refused:
    """A user (all keys of a member together) or a service key, with the calls that limits refused.

    `day` and `week` count the last 24 hours and 7 days, in whole hours; `by` is the limit that refused most of the week's;
    `last` is the start of the last such hour.
    """

    key_id: str
    person: str
    key_name: str
    by: str
    day: int
    week: int
    last: datetime


def most_refused(tenant: Tenant, now: datetime, *, member_id: int | None = None) -> list[Refused]:
    """Whose calls were refused most in the 7 days before the aware instant `now`; of one member when given. One query."""
    values = {
        "tenant": tenant.pk,
        "member": member_id,
        "week": now - timedelta(days=7),
        "day": now - timedelta(days=1),
        "most": MOST,
    }
    with connection.cursor() as cursor:
        cursor.execute(_MOST_REFUSED, values)
        return [Refused(*row) for row in cursor.fetchall()]


def old(now: datetime) -> QuerySet[RefusedHour]:
    """Rows that have served."""
    return RefusedHour.objects.filter(hour__lt=now - KEEP)


_RECORD = """
    INSERT INTO tenants_refusedhour AS kept (tenant_id, hour, key_id, refused_by, calls)
    SELECT tenant.id, given.hour, given.key, given.by, given.calls
    FROM jsonb_to_recordset(%s::jsonb) AS given(slug text, hour timestamptz, key text, by text, calls bigint)
    JOIN tenants_tenant tenant ON tenant.slug = given.slug
    ON CONFLICT (tenant_id, hour, key_id, refused_by) DO UPDATE SET calls = kept.calls + EXCLUDED.calls
"""

_MOST_REFUSED = """
    WITH refused AS (
        SELECT coalesce(member.subject, row.key_id) AS who, row.key_id, person.username AS person,
               key.name AS key_name, row.refused_by, row.calls, row.hour
        FROM tenants_refusedhour row
        LEFT JOIN tenants_apikey key ON key.tenant_id = row.tenant_id AND key.key_id = row.key_id
        LEFT JOIN tenants_membership member ON member.tenant_id = row.tenant_id AND member.subject = left(row.key_id, 8)
        LEFT JOIN tenants_user person ON person.id = member.user_id
        WHERE row.tenant_id = %(tenant)s AND row.hour > %(week)s
              AND (%(member)s::bigint IS NULL OR member.id = %(member)s::bigint)
    ), weighed AS (SELECT *, sum(calls) OVER (PARTITION BY who, refused_by) AS of_limit FROM refused)
    SELECT (array_agg(key_id ORDER BY calls DESC))[1], coalesce(max(person), ''),
           coalesce((array_agg(key_name ORDER BY calls DESC))[1], ''), (array_agg(refused_by ORDER BY of_limit DESC))[1],
           coalesce(sum(calls) FILTER (WHERE hour > %(day)s), 0)::bigint, sum(calls)::bigint, max(hour)
    FROM weighed GROUP BY who ORDER BY 6 DESC, who LIMIT %(most)s
"""
