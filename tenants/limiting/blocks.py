"""Blocks: slowing down or refusing a tenant's calls for a while, without touching anything that is the tenant's.

A block is in force with the next call after the commit, ends by itself at `until`, and is never deleted: ending it sets `lifted_at`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from .. import audit, signals
from ..enforcement.publishing.policy import publish_after_commit
from ..models import Tenant, TenantBlock
from ..models.block import BlockAction

CODE_MOST, DETAIL_MOST = 40, 300


def put(
    tenant: Tenant,
    action: str,
    *,
    code: str,
    origin: str,
    detail: str,
    until: datetime | None,
    actor: str,
    now: datetime,
) -> TenantBlock:
    """Put `action` ("throttle", "block_gpu" or "block") in force, once for each `origin`; one that was lifted is in force again.

    `code` is the problem code that a refused caller sees, `detail` the sentence. Raises ValueError for an unknown action.
    """
    kind = BlockAction(action)
    with audit.acting(actor, detail):
        block, made = TenantBlock.objects.select_for_update(of=("self",)).get_or_create(
            tenant=tenant,
            origin=origin,
            action=kind,
            defaults={"code": code[:CODE_MOST], "detail": detail[:DETAIL_MOST], "until": until, "created_at": now},
        )
        was_in_force = not made and block.lifted_at is None and (block.until is None or block.until > now)
        if not made:
            block.code, block.detail, block.until, block.lifted_at = code[:CODE_MOST], detail[:DETAIL_MOST], until, None
            block.created_at = block.created_at if was_in_force else now
            block.save(update_fields=["code", "detail", "until", "lifted_at", "created_at"])
        publish_after_commit(tenant.pk)
        if not was_in_force:
            signals.blocked.send(TenantBlock, **_facts(block, tenant, now))
    return block


def lift(blocks: Iterable[TenantBlock], *, actor: str, reason: str, now: datetime) -> int:
    """End blocks at the aware instant `now`; how many were not ended before. Calls are taken again with the next request."""
    with audit.acting(actor, reason):
        rows = list(
            TenantBlock.objects.select_for_update(of=("self",))
            .select_related("tenant")
            .filter(pk__in=[block.pk for block in blocks], lifted_at__isnull=True)
        )
        for row in rows:
            row.lifted_at = now
            row.save(update_fields=["lifted_at"])
            publish_after_commit(row.tenant_id)
            signals.resumed.send(TenantBlock, **_facts(row, row.tenant, now) | {"reason": reason})
    return len(rows)


def in_force(tenant: Tenant, now: datetime, *actions: str) -> list[TenantBlock]:
    """The tenant's blocks at `now`, of these actions (none: of all), oldest first."""
    rows = TenantBlock.objects.in_force(now).filter(tenant=tenant).order_by("created_at", "pk")
    return list(rows.filter(action__in=actions) if actions else rows)


def refuses_gpus(tenant: Tenant, now: datetime) -> TenantBlock | None:
    """The block that refuses new GPU reservations of the tenant at `now`, or None."""
    return next(iter(in_force(tenant, now, BlockAction.BLOCK_GPU, BlockAction.BLOCK)), None)


def _facts(block: TenantBlock, tenant: Tenant, now: datetime) -> dict[str, object]:
    return {
        "tenant": tenant, "now": now, "action": block.action, "code": block.code, "reason": block.detail, "until": block.until,
    }  # fmt: skip
