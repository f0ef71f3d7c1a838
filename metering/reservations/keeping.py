"""The periodic part: what is abandoned lapses, full hours go to the ledger, and Redis is built anew from the database."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db.models import Q

from metering import jobs
from metering.models import Reservation, ReservationState
from metering.reservations import book, ending
from tenants.enforcement.errors import RedisUnavailableError
from tenants.models import Tenant

EVERY = 30
"""Seconds of a period: one run in each, however many beats and workers there are."""
SETTLES_DOWN = timedelta(minutes=10)
"""So long after a tenant's last reservation has ended its holds are still built: what Redis was not told is put right."""

log = logging.getLogger(__name__)


def run(now: datetime) -> int:
    """Look after every tenant that has, or lately had, something reserved; how many reservations have lapsed. `now` is aware.

    Each reservation is a transaction of its own: killed at any step, the next run goes on. One tenant's failure leaves the others alone.
    """
    slot = datetime.fromtimestamp(now.timestamp() // EVERY * EVERY, tz=now.tzinfo)
    lapsed = 0
    with jobs.once("keep reservations", f"{slot:%Y-%m-%dT%H:%M:%SZ}", atomic=False) as claimed:
        if claimed is None:
            return 0
        for tenant in _busy(now):
            try:
                lapsed += keep(tenant, now)
            except RedisUnavailableError as error:
                log.warning("reservations.not_built", extra={"tenant": tenant.slug, "reason": error.reason})
            except Exception:
                log.exception("reservations.not_kept", extra={"tenant": tenant.slug})
        claimed.detail = {"lapsed": lapsed}
    return lapsed


def keep(tenant: Tenant, now: datetime) -> int:
    """One tenant's part of `run`."""
    lapsed = ending.lapse_due(tenant, now)
    running = Reservation.objects.filter(tenant=tenant, state=ReservationState.HELD)
    ending.accrue(tenant, list(running.order_by("pk").values_list("pk", flat=True)), now)
    book.build(tenant, now)
    return lapsed


def _busy(now: datetime) -> list[Tenant]:
    rows = Reservation.objects.filter(Q(state=ReservationState.HELD) | Q(closed_at__gt=now - SETTLES_DOWN))
    return list(Tenant.objects.filter(pk__in=rows.values("tenant")).order_by("pk"))
