"""What becomes of a reservation: it is alive, settled, cancelled, released, or abandoned. Every verb may be repeated.

A settled one ends when the job says it did: not before what heartbeats and collectors have confirmed, not after now. All others end where
they were last confirmed; before a first heartbeat that is the start, and nothing is billed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from metering.ledger.hours import BillingHours
from metering.models import Reservation, ReservationChange, ReservationState
from metering.reservations import book, booking, slices
from tenants.audit import acting
from tenants.models import Tenant
from tenants.problems import Conflict, ProblemError


def locked(tenant: Tenant, public_id: UUID) -> Reservation:
    """The reservation, locked until the transaction ends. Raises ProblemError not_found."""
    row = Reservation.objects.select_for_update(of=("self",)).filter(tenant=tenant, public_id=public_id).first()
    if row is None:
        raise ProblemError("not_found")
    row.tenant = tenant
    return row


def heartbeat(tenant: Tenant, public_id: UUID, now: datetime) -> Reservation:
    """The job holds its GPUs still. Raises Conflict when the reservation has ended, so that the job can know."""
    with transaction.atomic():
        row = locked(tenant, public_id)
        if row.state != ReservationState.HELD:
            raise Conflict(f"This reservation has ended: it is {row.state}.", state=row.state)
        if now > row.heartbeat_at:  # a clock that is behind takes nothing back
            row.heartbeat_at = now
            row.lapses_at = now + timedelta(seconds=row.ttl_seconds)
            row.save(update_fields=["heartbeat_at", "lapses_at"])
        return row


def settle(tenant: Tenant, public_id: UUID, seconds: float | None, *, actor: str, now: datetime) -> Reservation:
    """The job has ended after so many seconds (None: now). Settling again answers what was settled. Raises Conflict if it ended otherwise."""
    with acting(actor, "settled"), transaction.atomic():
        row = locked(tenant, public_id)
        if row.state == ReservationState.HELD:
            said = now if seconds is None else row.started_at + timedelta(seconds=seconds)
            _close(row, ReservationState.SETTLED, min(max(said, confirmed(row)), max(now, confirmed(row))), actor, now)
        return _ended_as(row, ReservationState.SETTLED)


def cancel(tenant: Tenant, public_id: UUID, *, actor: str, now: datetime) -> Reservation:
    """The job did not start, or is given up. Cancelling again changes nothing. Raises Conflict if it ended otherwise."""
    with acting(actor, "cancelled"), transaction.atomic():
        row = locked(tenant, public_id)
        if row.state == ReservationState.HELD:
            _close(row, ReservationState.CANCELLED, confirmed(row), actor, now)
        return _ended_as(row, ReservationState.CANCELLED)


def release(tenant: Tenant, public_id: UUID, *, actor: str, reason: str, now: datetime) -> Reservation:
    """Somebody who manages the tenant takes the GPUs back. What has ended already stays as it is."""
    with acting(actor, reason), transaction.atomic():
        row = locked(tenant, public_id)
        if row.state == ReservationState.HELD:
            _close(row, ReservationState.RELEASED, confirmed(row), actor, now, reason)
        return row


def lapse_due(tenant: Tenant, now: datetime) -> int:
    """End the tenant's reservations whose heartbeat is overdue; how many. One that somebody is just dealing with is left alone."""
    with acting("system:reservations", "no heartbeat"), transaction.atomic():
        due = Reservation.objects.select_for_update(of=("self",), skip_locked=True).filter(
            tenant=tenant, state=ReservationState.HELD, lapses_at__lte=now
        )
        rows = list(due.order_by("pk"))
        for row in rows:
            row.tenant = tenant
            _close(row, ReservationState.LAPSED, confirmed(row), "system:reservations", now)
        return len(rows)


def accrue(tenant: Tenant, ids: Iterable[int], now: datetime) -> int:
    """Book the full hours of running reservations that are confirmed; how many had some. Each in a transaction of its own."""
    hours = BillingHours(tenant)
    return sum(_accrue(tenant, id, hours, now) for id in ids)


def confirmed(reservation: Reservation) -> datetime:
    """Until when somebody has proved that the GPUs were held."""
    return max(reservation.heartbeat_at, reservation.seen_at or reservation.started_at)


@transaction.atomic
def _accrue(tenant: Tenant, id: int, hours: BillingHours, now: datetime) -> bool:
    held = Reservation.objects.select_for_update(of=("self",), skip_locked=True).filter(state=ReservationState.HELD)
    row = held.filter(pk=id, tenant=tenant).first()
    if row is None or confirmed(row) < hours.end_of(hours.start_of(row.booked_until)):
        return False
    row.tenant = tenant
    booking.book(row, confirmed(row), now, final=False)
    row.save(update_fields=["booked_until"])
    book.tell_left(row)
    return True


def _close(
    row: Reservation, state: ReservationState, end: datetime, actor: str, now: datetime, reason: str = ""
) -> None:
    already = book.reserved(row) - book.hold_of(row).amount
    booking.book(row, end, now, final=True)
    row.state, row.ended_at, row.closed_at = state, end, now
    row.save(update_fields=["state", "ended_at", "closed_at", "booked_until"])
    micro = slices.gpu_micro(row.gpus, row.fraction, row.started_at, end)
    detail = {"seconds": str((end - row.started_at).total_seconds()), "gpu_micro_seconds": micro}
    ReservationChange.objects.create(
        tenant=row.tenant,
        reservation=row,
        at=now,
        kind=state,
        actor=actor[:160],
        detail=detail | ({"reason": reason[:300]} if reason else {}),
    )
    book.tell_end(row, max(0, -(-micro // book.MICRO) - already))


def _ended_as(row: Reservation, state: ReservationState) -> Reservation:
    if row.state != state:
        raise Conflict(f"This reservation has ended otherwise: it is {row.state}.", state=row.state)
    return row
