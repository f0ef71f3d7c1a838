"""Who hits limits most: calls that a limit refused, as the enforcing processes wrote them by hour and key (enforcement/counting/refusals.py)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import QuerySet

from ..models import RefusedHour, Tenant

KEEP = timedelta(days=35)
MOST = 10
"""As many users and keys are listed."""


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
