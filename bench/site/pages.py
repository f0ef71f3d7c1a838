"""Fills the benchmark's database with years of history, and times the pages of the portal inside Django."""

from __future__ import annotations

import gzip
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

PASSWORD_BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


def fill(tenants: int, busy: int, years: int) -> int:
    """Tenants with an owner, members, keys, a budget, their months, and hourly rollups; how many of these. Set-based: a minute or two."""
    from django.db import connection

    from metering import budgets
    from tenants.credentials import apikeys
    from tenants.models import Membership, Role, Tenant, Tier, User

    now = datetime.now(UTC)
    tier = Tier.objects.get(slug="standard")
    since = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0) - timedelta(days=365 * years)
    Tenant.objects.bulk_create(
        Tenant(slug=f"tenant-{n}", name=f"Tenant {n}", tier=tier, time_zone="Europe/Zurich") for n in range(tenants)
    )
    with connection.cursor() as cursor:  # a tenant's beginning never changes; these were there two years ago
        cursor.execute("ALTER TABLE tenants_tenant DISABLE TRIGGER USER")
        cursor.execute("UPDATE tenants_tenant SET created_at = %s", [since])
        cursor.execute("ALTER TABLE tenants_tenant ENABLE TRIGGER USER")
    owner = User.objects.create_user("owner", "owner@bench.example")
    people = User.objects.bulk_create(User(username=f"person-{n}") for n in range(8))
    for tenant in Tenant.objects.filter(slug__in=[f"tenant-{n}" for n in range(busy)]):
        member = Membership.objects.create(tenant=tenant, user=owner, role=Role.OWNER)
        for person in people:
            other = Membership.objects.create(tenant=tenant, user=person, role=Role.MEMBER)
            apikeys.create(
                tenant, name=f"Key of {person}", scopes=["decide"], by=member, member=other, actor="system:bench"
            )
        budgets.set_budget(tenant, Decimal(5000), [80, 90, 100], "system:bench")
    with connection.cursor() as cursor:
        cursor.execute(_MONTHS, [since, now])
        cursor.execute(
            "SELECT conname FROM pg_constraint WHERE conrelid = 'metering_usagerollup'::regclass AND contype = 'f'"
        )
        for (name,) in cursor.fetchall():  # only to load faster: the tables are thrown away
            cursor.execute(f'ALTER TABLE metering_usagerollup DROP CONSTRAINT "{name}"')
        cursor.execute(_ROLLUPS, {"busy": busy, "since": since, "now": now})
        rows = cursor.rowcount
        cursor.execute("ANALYZE")
    return rows


def sign_in() -> str:
    """A session of the owner."""
    from django.conf import settings

    return str(_browser().cookies[settings.SESSION_COOKIE_NAME].value)


def times(pages: Mapping[str, str], tenants: int, rounds: int) -> dict[str, dict[str, Any]]:
    """Milliseconds of each page, tenant after tenant, pages in turns; statements and compressed size of the last one."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    browser = _browser()
    found: dict[str, dict[str, Any]] = {name: {"ms": []} for name in pages}
    for number in range(-1, rounds):
        for name, path in pages.items():
            headers = {"HX-Request": "true"} if path.startswith("+") else {}
            url = f"/t/tenant-{number % tenants}/{path.removeprefix('+')}"
            started = time.perf_counter()
            answer = browser.get(url, headers=headers)
            took = (time.perf_counter() - started) * 1000
            if answer.status_code != 200:
                raise RuntimeError(f"{url} answered {answer.status_code}")
            if number >= 0:  # the first round loads templates
                found[name]["ms"].append(took)
            if number == rounds - 1:
                with CaptureQueriesContext(connection) as statements:
                    browser.get(url, headers=headers)
                found[name] |= {"statements": len(statements), "html_kb": len(gzip.compress(answer.content)) / 1000}
    return found


def _browser() -> Any:
    from django.test import Client

    from tenants.models import User

    browser = Client()
    browser.force_login(User.objects.get(username="owner"), backend=PASSWORD_BACKEND)
    return browser


_MONTHS = """
    INSERT INTO tenants_billingperiod (tenant_id, key, starts_at, ends_at, time_zone)
    SELECT tenant.id, to_char(month, 'YYYY-MM'), month AT TIME ZONE 'Europe/Zurich', (month + interval '1 month') AT TIME ZONE 'Europe/Zurich',
           'Europe/Zurich'
    FROM tenants_tenant tenant CROSS JOIN generate_series(%s::timestamp, %s::timestamp, interval '1 month') month
    ON CONFLICT DO NOTHING
"""

_ROLLUPS = """
    INSERT INTO metering_usagerollup
        (tenant_id, meter, hour, dims_key, dims, quantity_micro, level_micro, level_at, events, gap_seconds, updated_at)
    SELECT tenant.id, kind.meter, hour, md5(kind.dims::text), kind.dims, (random() * kind.most)::bigint,
           CASE WHEN kind.meter = 'storage_gb' THEN (kind.most / 3600 * (0.9 + random() / 10))::bigint END, hour, 1, 0, now()
    FROM (SELECT id, substr(slug, 8)::int < %(busy)s AS busy FROM tenants_tenant) tenant
    CROSS JOIN generate_series(%(since)s::timestamptz, %(now)s::timestamptz, interval '1 hour') hour
    CROSS JOIN (VALUES
        (true, 'api_calls', '{"api_key": "a", "route_class": "default", "user": "a"}'::jsonb, 1e9::numeric),
        (false, 'api_calls', '{"api_key": "a", "route_class": "search", "user": "a"}', 1e9),
        (false, 'api_calls', '{"api_key": "b", "route_class": "ml", "user": "b"}', 1e9),
        (true, 'gpu_hours', '{"model": "H100", "project": "mammo", "user": "person-1"}', 1e9),
        (false, 'gpu_hours', '{"model": "A100", "project": "mammo", "user": "person-2"}', 1e9),
        (false, 'gpu_hours', '{"model": "L4", "project": "ct"}', 1e9),
        (true, 'storage_gb', '{"volume": "archive"}', 1e18),
        (false, 'storage_gb', '{"volume": "scratch"}', 1e17)
    ) kind (always, meter, dims, most)
    WHERE tenant.busy OR (kind.always AND extract(hour FROM hour) BETWEEN 8 AND 15)
    ORDER BY tenant.id, meter, hour
"""
