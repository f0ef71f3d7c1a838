"""From a reservation into the ledger: one usage event for each billing hour, under an id that repeats with the hour."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from metering.ledger import ingestion
from metering.ledger.hours import BillingHours
from metering.models import Reservation
from metering.money import from_micro
from metering.reservations.slices import Slice, slices

SOURCE = f"{ingestion.OWN_SOURCES}reservations"
"""Nobody's key may send events from here: the ids of hours to come cannot be taken."""

log = logging.getLogger(__name__)


def book(reservation: Reservation, until: datetime, now: datetime, *, final: bool) -> None:
    """Book what was held up to the aware instant `until`, in the caller's transaction; unless `final`, only hours that are over.

    Moves `booked_until` on, which the caller saves. Booked again, an hour is known already and changes nothing.
    """
    hours = BillingHours(reservation.tenant)
    held = list(
        slices(
            gpus=reservation.gpus,
            fraction=reservation.fraction,
            started_at=reservation.started_at,
            since=reservation.booked_until,
            until=until,
            final=final,
            end_of_hour=lambda at: hours.end_of(hours.start_of(at)),
        )
    )
    events = [_event(reservation, each) for each in held if each.micro_seconds]
    for result in ingestion.book(reservation.tenant, events, now, own=True) if events else []:
        if result.status not in ("accepted", "duplicate"):  # quarantined: kept and shown there
            log.error("reservations.not_booked", extra={"event_id": result.id, "code": result.code})
    if held:
        reservation.booked_until = held[-1].end


def _event(reservation: Reservation, held: Slice) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "source": SOURCE,
        "id": f"{reservation.public_id}:{held.start.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}",
        "type": "gpu_seconds",
        "time": held.start,
        "data": {**reservation.labels, "model": reservation.gpu_model, "quantity": from_micro(held.micro_seconds)},
    }
