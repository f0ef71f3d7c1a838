"""What a tenant's limits are made of, for many tenants in one statement."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django.db import connection, models

from ..models import Override, Tenant, TierQuota, TierRateLimit


def prefetch_limits(tenants: Iterable[Tenant]) -> None:
    """Fill tier.rate_limits, tier.quotas and overrides of tenants that lack them, as prefetch_related would with three statements."""
    waiting = [tenant for tenant in tenants if not _is_filled(tenant)]
    if not waiting:
        return
    rows = _read(waiting)
    for tenant in waiting:
        _fill(tenant.tier, "rate_limits", rows["rate_limits", tenant.tier_id])
        _fill(tenant.tier, "quotas", rows["quotas", tenant.tier_id])
        _fill(tenant, "overrides", _latest_first(rows["overrides", tenant.pk]))


_MODELS: dict[str, type[models.Model]] = {"rate_limits": TierRateLimit, "quotas": TierQuota, "overrides": Override}


def _is_filled(tenant: Tenant) -> bool:
    ours = getattr(tenant, "_prefetched_objects_cache", {})
    tiers = getattr(tenant.tier, "_prefetched_objects_cache", {})
    return "overrides" in ours and "rate_limits" in tiers and "quotas" in tiers


def _read(tenants: list[Tenant]) -> dict[tuple[str, int], list[models.Model]]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT kind, owner, row FROM (
                SELECT 'rate_limits' AS kind, tier_id AS owner, id, row_to_json(each)::text AS row
                FROM tenants_tierratelimit each WHERE tier_id = ANY(%(tiers)s)
                UNION ALL
                SELECT 'quotas', tier_id, id, row_to_json(each)::text FROM tenants_tierquota each WHERE tier_id = ANY(%(tiers)s)
                UNION ALL
                SELECT 'overrides', tenant_id, id, row_to_json(each)::text
                FROM tenants_override each WHERE tenant_id = ANY(%(tenants)s)
            ) found ORDER BY kind, owner, id
            """,
            {"tiers": list({tenant.tier_id for tenant in tenants}), "tenants": [tenant.pk for tenant in tenants]},
        )
        found: dict[tuple[str, int], list[models.Model]] = defaultdict(list)
        for kind, owner, row in cursor.fetchall():
            found[kind, owner].append(_instance(_MODELS[kind], json.loads(row, parse_float=Decimal)))
    return found


def _instance(model: type[models.Model], values: dict[str, Any]) -> models.Model:
    """The row as the ORM would have made it: JSON knows neither decimals nor times."""
    fields = model._meta.concrete_fields
    names = [field.attname for field in fields]
    return model.from_db(connection.alias, names, [field.to_python(values[str(field.column)]) for field in fields])


def _latest_first(overrides: list[Any]) -> list[models.Model]:
    """By kind and name, and of each the latest start first: Override's own order."""
    overrides.sort(key=lambda each: (each.valid_from, each.pk), reverse=True)
    return sorted(overrides, key=lambda each: (each.kind, each.name))


def _fill(owner: models.Model, name: str, rows: list[models.Model]) -> None:
    """As prefetch_related_objects leaves it: a queryset that has its result."""
    manager = getattr(owner, name)
    found = manager.get_queryset()
    found._result_cache = rows
    found._prefetch_done = True
    cache = getattr(owner, "_prefetched_objects_cache", None)
    if cache is None:
        cache = owner._prefetched_objects_cache = {}  # type: ignore[attr-defined]
    cache[manager.field.remote_field.cache_name] = found
