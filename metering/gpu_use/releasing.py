"""Reservations whose GPUs nobody uses are given back, where a rule says so: a warning, a time of grace, then the release. Off by default.

Only what collectors see counts. A reservation is idle when it was seen lately, and every GPU of its model that its tenant holds on the nodes
where it was seen has been idle for so long. One that no collector has seen is left alone: nobody knows what it does.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from django.db import transaction

from metering.attribution.coverage import PLACED_FOR
from metering.mail.gpus import ReleaseFacts, duration, release_announced, released
from metering.models import GpuDevice, GpuNotice, GpuNoticeKind, IdleReleaseRule, Reservation, ReservationState
from metering.reservations import ending
from metering.telling import notifications, recipients
from tenants.models import Tenant

from . import idle
from .held import STALE_AFTER
from .telling import today

ACTOR = "system:idle-gpus"

log = logging.getLogger(__name__)


def run(now: datetime) -> tuple[int, int]:
    """(announced, released). Safe to repeat; one reservation that fails does not keep the others."""
    rules = {rule.tier_id: rule for rule in IdleReleaseRule.objects.all()}
    if not any(rule.is_on for rule in rules.values()):
        return 0, 0
    rows = Reservation.objects.filter(state=ReservationState.HELD).select_related("tenant")
    judged = [(row, rule) for row in rows if (rule := rule_for(row.tenant, rules)) is not None]
    lengths = idle_for([row for row, _ in judged], now)
    announced = gone = 0
    for row, rule in judged:
        try:
            done = _judge(row, rule, lengths.get(row.pk), now)
        except Exception:
            log.exception("gpus.release_failed", extra={"reservation": str(row.public_id)})
            continue
        announced, gone = announced + (done == "announced"), gone + (done == "released")
    return announced, gone


def rule_for(tenant: Tenant, rules: Mapping[int | None, IdleReleaseRule]) -> IdleReleaseRule | None:
    """The rule of the tenant's tier, else the platform's; None when that is off."""
    rule = rules.get(tenant.tier_id) or rules.get(None)
    return rule if rule is not None and rule.is_on else None


def idle_for(reservations: Iterable[Reservation], now: datetime) -> dict[int, timedelta]:
    """For how long the GPUs of each reservation (by its row's id) have been idle, at least; without an entry: used, or not known."""
    everyone = list(reservations)
    nodes = {node for row in everyone for node in _nodes(row, now)}
    devices = list(GpuDevice.objects.filter(node__in=nodes))
    streaks = {(each.device.pk, each.tenant): each.idle_for for each in idle.now_idle(now, timedelta(0), devices)}
    found = {}
    for row in everyone:
        length = _idle_for(row, devices, streaks, now)
        if length is not None:
            found[row.pk] = length
    return found


def _nodes(row: Reservation, now: datetime) -> set[str]:
    return {node for node, place in row.placements.items() if datetime.fromisoformat(place["at"]) > now - PLACED_FOR}


def _idle_for(
    row: Reservation, devices: Sequence[GpuDevice], streaks: Mapping[tuple[int, str], timedelta], now: datetime
) -> timedelta | None:
    nodes, slug = _nodes(row, now), row.tenant.slug
    mine = [
        device
        for device in devices
        if device.node in nodes
        and device.model == row.gpu_model
        and any(holder.get("tenant") == slug for holder in device.holders)
    ]
    if not mine or any(now - device.last_seen_at > STALE_AFTER for device in mine):
        return None
    lengths = [streaks.get((device.pk, slug)) for device in mine]
    known = [length for length in lengths if length is not None]
    # No longer than the reservation itself: what was idle before it is not its own.
    return min(*known, now - row.started_at) if len(known) == len(mine) else None


@transaction.atomic
def _judge(row: Reservation, rule: IdleReleaseRule, length: timedelta | None, now: datetime) -> str:
    row = Reservation.objects.select_for_update(of=("self",)).select_related("tenant").get(pk=row.pk)
    if row.state != ReservationState.HELD:
        return ""
    standing = (
        GpuNotice.objects.filter(kind=GpuNoticeKind.RELEASE, reservation=row, cleared_at__isnull=True)
        .order_by("at")
        .first()
    )
    if length is None or length < timedelta(minutes=rule.idle_minutes):
        if standing is not None:
            standing.cleared_at = now
            standing.save(update_fields=["cleared_at"])
        return ""
    if standing is None:
        _announce(row, rule, length, now)
        return "announced"
    if now < standing.at + timedelta(minutes=rule.grace_minutes):
        return ""
    reason = f"Idle for {duration(length)}; announced {standing.at:%Y-%m-%d %H:%M} UTC"
    ending.release(row.tenant, row.public_id, actor=ACTOR, reason=reason, now=now)
    _owe(row, length, now, now, announced=False)
    return "released"


def _announce(row: Reservation, rule: IdleReleaseRule, length: timedelta, now: datetime) -> None:
    GpuNotice.objects.update_or_create(
        kind=GpuNoticeKind.RELEASE,
        metric="gpu_hours",
        device=None,
        reservation=row,
        tenant=row.tenant,
        day=today(now),
        defaults={"at": now, "cleared_at": None},
    )
    _owe(row, length, now + timedelta(minutes=rule.grace_minutes), now, announced=True)


def _owe(row: Reservation, length: timedelta, at: datetime, now: datetime, *, announced: bool) -> None:
    tenant = row.tenant
    facts = ReleaseFacts(tenant.name, tenant.slug, tenant.time_zone, str(row), length, at)
    notifications.owe(
        release_announced(facts, now) if announced else released(facts, now),
        key=f"gpu-release:{row.public_id}:{now:%Y%m%dT%H%M%S}:{'announced' if announced else 'released'}",
        recipients=recipients.of(tenant, recipients.MANAGERS),
        tenant=tenant,
        now=now,
    )
