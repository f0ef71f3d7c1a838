"""The tenant's holds in Redis, kept together with the database.

A build reads the running reservations and the month's use under a lock on the tenant's ReservationBook, and puts them into Redis under a
new epoch. A grant is committed only while its epoch is the book's: `confirm` checks that under a shared lock, which it keeps until the
transaction ends. So no build can miss a grant, and no grant can outlive a build that missed it. What the database commits later about a
hold is told to Redis afterwards; should that be lost, Redis counts too much until the next build, never too little.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial

from django.db import transaction
from django.utils import timezone

from metering.models import Reservation, ReservationBook, ReservationState
from metering.reservations import estimates, slices
from tenants import enforcement, periods
from tenants.enforcement.counting import ledger
from tenants.enforcement.errors import RedisUnavailableError
from tenants.enforcement.holds import COST_LINGERS, PART, Answer, Caps, Hold, Holds, NotBuiltError
from tenants.models import Tenant

METER = "gpu_hours"
PROJECT = "project"
ATTEMPTS = 20
MICRO = 1_000_000
FRESH = timedelta(seconds=30)
"""A refusal by an older build is asked again of a new one: it may have counted a grant that was never committed."""

log = logging.getLogger(__name__)


def ask(tenant: Tenant, hold: Hold, caps: Caps, now: datetime, *, more: bool = False) -> Answer:
    """Redis's answer, good for as long as the caller's transaction lasts. Raises RedisUnavailableError."""
    month = periods.period_at(tenant, now).key
    for _ in range(ATTEMPTS):
        holds = enforcement.gpu_holds(tenant.slug, month)
        try:
            answer = holds.reserve(hold, caps, more=more)
        except NotBuiltError:
            build(tenant, now)
            continue
        if answer.code or _confirmed(tenant, answer.epoch):
            return answer
        build(tenant, now)
    raise RedisUnavailableError("not_built", "the holds kept changing")


def build(tenant: Tenant, now: datetime) -> None:
    """Put what the database knows in place of what Redis has. Raises RedisUnavailableError; then the old epoch stays."""
    with transaction.atomic():
        ReservationBook.objects.get_or_create(tenant=tenant, defaults={"epoch": "", "built_at": now})
        row = ReservationBook.objects.select_for_update().get(tenant=tenant)
        row.epoch, row.built_at = secrets.token_hex(8), now
        row.save(update_fields=["epoch", "built_at"])
        # Holds first: what is booked between the two reads is then counted twice for a moment, never left out.
        rows = list(Reservation.objects.filter(tenant=tenant, state=ReservationState.HELD))
        recent = Reservation.objects.filter(tenant=tenant, closed_at__gt=now - COST_LINGERS)
        holds = [hold_of(each) for each in rows] + [_ended(each) for each in recent]
        enforcement.gpu_holds(tenant.slug, periods.period_at(tenant, now).key).build(
            row.epoch, used(tenant, now), holds
        )


def is_stale(tenant: Tenant, now: datetime) -> bool:
    """Nobody has built the tenant's holds lately."""
    return not ReservationBook.objects.filter(tenant=tenant, built_at__gt=now - FRESH).exists()


def used(tenant: Tenant, now: datetime) -> int:
    """GPU seconds of the present month in the ledger."""
    month = periods.period_at(tenant, now)
    return ledger.current().used(tenant.pk, METER, month.starts_at, month.ends_at)


def hold_of(reservation: Reservation) -> Hold:
    """What a running reservation still holds: what was reserved, less what is in the ledger."""
    whole = reserved(reservation)
    booked = slices.gpu_micro(reservation.gpus, reservation.fraction, reservation.started_at, reservation.booked_until)
    left = max(0, whole - booked // MICRO)
    cost = estimates.micro(reservation.estimate)
    return Hold(
        reservation.public_id.hex,
        left,
        int(reservation.gpus * reservation.fraction * PART),
        cost * left // whole if whole else 0,
        tag_of(reservation.labels.get(PROJECT, "")),
    )


def reserved(reservation: Reservation) -> int:
    """GPU seconds that were reserved."""
    return slices.gpu_seconds(reservation.gpus, reservation.fraction, reservation.expected_seconds)


def tag_of(project: str) -> bytes:
    """Eight bytes that stand for a project; zeros for none."""
    return hashlib.blake2b(project.encode(), digest_size=8).digest() if project else bytes(8)


def tell_left(reservation: Reservation) -> None:
    """After the commit: part of what is held is in the ledger now."""
    hold = hold_of(reservation)
    _tell(reservation.tenant, lambda holds: holds.left(hold.id, hold.amount, hold.cost))


def tell_end(reservation: Reservation, used_since: int) -> None:
    """After the commit: it has ended, and used so many GPU seconds more than was told before."""
    cost = estimates.micro(cost_of(reservation))
    _tell(reservation.tenant, lambda holds: holds.end(reservation.public_id.hex, used_since, cost))


def cost_of(reservation: Reservation) -> Decimal:
    """What an ended reservation cost, at the price of its estimate."""
    return estimates.share(reservation, slices.gpu_micro(
        reservation.gpus, reservation.fraction, reservation.started_at, reservation.ended_at or reservation.booked_until
    ))  # fmt: skip


def _ended(reservation: Reservation) -> Hold:
    assert reservation.closed_at is not None  # noqa: S101  (a constraint of the table)
    until = (reservation.closed_at + COST_LINGERS - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    tag = tag_of(reservation.labels.get(PROJECT, ""))
    return Hold(reservation.public_id.hex, 0, 0, estimates.micro(cost_of(reservation)), tag, until)


def _confirmed(tenant: Tenant, epoch: str) -> bool:
    """Is the epoch the book's, and will be until the transaction ends? A row that was waited for stays locked even when it has another
    epoch by then; going back to the savepoint lets go of it, or two that both build next would wait for each other for ever."""
    point = transaction.savepoint()
    rows = ReservationBook.objects.raw(
        "SELECT * FROM metering_reservationbook WHERE tenant_id = %s AND epoch = %s FOR SHARE", [tenant.pk, epoch]
    )
    if list(rows):
        transaction.savepoint_commit(point)
        return True
    transaction.savepoint_rollback(point)
    return False


def _tell(tenant: Tenant, change: Callable[[Holds], bool]) -> None:
    transaction.on_commit(partial(_told, tenant, change), robust=True)


def _told(tenant: Tenant, change: Callable[[Holds], bool]) -> None:
    try:
        month = periods.period_at(tenant, timezone.now()).key
        change(enforcement.gpu_holds(tenant.slug, month))
    except RedisUnavailableError as error:  # the next build puts it right
        log.warning("reservations.not_told", extra={"tenant": tenant.slug, "reason": error.reason})
