"""Reservations as pages and the API show them."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from django.db.models import QuerySet

from metering.models import Reservation, ReservationState
from metering.money import Money, round_half_up, round_line
from metering.reservations import estimates, slices

HOUR_MICRO = 3_600 * 1_000_000


def running(rows: QuerySet[Reservation] | None = None) -> QuerySet[Reservation]:
    """Those that hold GPUs now, the oldest first; of `rows`, or of all tenants."""
    found = Reservation.objects.all() if rows is None else rows
    return found.filter(state=ReservationState.HELD).order_by("started_at", "id")


def held_until(row: Reservation, now: datetime) -> datetime:
    """When it ended, or now."""
    return row.ended_at or max(now, row.started_at)


def gpu_hours(row: Reservation, now: datetime) -> Decimal:
    """GPU hours held so far, or in all, to the millionth."""
    micro = slices.gpu_micro(row.gpus, row.fraction, row.started_at, held_until(row, now))
    return round_half_up(Fraction(micro, HOUR_MICRO), 6)


def cost(row: Reservation, now: datetime) -> Money:
    """What that costs at the price of the estimate."""
    micro = slices.gpu_micro(row.gpus, row.fraction, row.started_at, held_until(row, now))
    return round_line(estimates.share(row, micro), row.currency)


def reserved_hours(row: Reservation) -> Decimal:
    """GPU hours that were reserved."""
    seconds = slices.gpu_seconds(row.gpus, row.fraction, row.expected_seconds)
    return round_half_up(Fraction(seconds, 3_600), 6)


def estimate(row: Reservation) -> Money:
    """What all of it is expected to cost."""
    return round_line(row.estimate, row.currency)


def expected_end(row: Reservation) -> datetime:
    """When it is expected to end."""
    return row.started_at + timedelta(seconds=row.expected_seconds)


def is_overrun(row: Reservation, now: datetime) -> bool:
    """Runs longer than it was expected to."""
    return row.state == ReservationState.HELD and now > expected_end(row)


def described(row: Reservation, now: datetime) -> dict[str, Any]:
    """Everything that the API tells of a reservation."""
    held = row.state == ReservationState.HELD
    return {
        "id": row.public_id,
        "state": row.state,
        "gpus": row.gpus,
        "gpu_model": row.gpu_model,
        "fraction": row.fraction,
        "expected_hours": round_half_up(Fraction(row.expected_seconds, 3_600), 6),
        "labels": row.labels,
        "started_at": row.started_at,
        "expected_end": expected_end(row),
        "heartbeat_at": row.heartbeat_at,
        "heartbeat_every": max(10, row.ttl_seconds // 3),
        "lapses_at": row.lapses_at if held else None,
        "ended_at": row.ended_at,
        "seconds": Decimal(str((held_until(row, now) - row.started_at).total_seconds())),
        "gpu_hours": gpu_hours(row, now),
        "cost": cost(row, now).decimal_string(),
        "estimate": estimate(row).decimal_string(),
        "currency": row.currency,
        "price_version": row.price_version,
        "overrun": is_overrun(row, now),
    }
