"""Asking for GPUs: all caps in one step, the row and the answer in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from metering.models import Reservation, ReservationChange, ReservationState
from metering.reservations import book, caps, ending, estimates, known_models
from metering.reservations.caps import HOUR, Allowance
from metering.reservations.estimates import Estimate
from metering.reservations.refusals import cap_reached, hours, refusal
from tenants.audit import acting
from tenants.enforcement.holds import PART, Answer, Hold
from tenants.models import Tenant
from tenants.problems import Conflict, invalid


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for. `seconds` is how long the job is expected to hold the GPUs, `fraction` the part of each."""

    gpus: int
    gpu_model: str
    fraction: Decimal
    seconds: int
    labels: Mapping[str, str]
    ttl_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Granted:
    """A reservation, what it is expected to cost, and what is left besides it; None is unlimited.

    `over_quota`: a soft quota has let it through.
    """

    reservation: Reservation
    estimate: Estimate
    gpu_hours_left: Decimal | None
    gpus_left: Decimal | None
    over_quota: bool


def reserve(tenant: Tenant, wish: Wish, *, id: UUID, actor: str, now: datetime) -> Granted:
    """Hold what is asked for. Raises ProblemError (quota, caps, budget, block), Invalid, or RedisUnavailableError: nothing is held then.

    Nothing is granted that could not be checked: without Redis there are no new reservations.
    """
    with acting(actor, "reserved"), transaction.atomic():
        estimate = priced(tenant, wish, now)
        allowance = caps.of(tenant, wish.labels.get(book.PROJECT, ""), estimate.amount.currency, now)
        _not_too_long(tenant, wish.seconds, allowance)
        hold = Hold(
            id.hex,
            estimate.gpu_seconds,
            int(wish.gpus * wish.fraction * PART),
            estimates.micro(estimate.exact),
            book.tag_of(wish.labels.get(book.PROJECT, "")),
        )
        answer = _ask(tenant, hold, allowance, now)
        ttl = wish.ttl_seconds or settings.RESERVATION_TTL_SECONDS
        row = Reservation.objects.create(
            tenant=tenant,
            public_id=id,
            gpus=wish.gpus,
            gpu_model=wish.gpu_model,
            fraction=wish.fraction,
            expected_seconds=wish.seconds,
            labels=dict(wish.labels),
            created_by=actor[:160],
            ttl_seconds=ttl,
            started_at=now,
            heartbeat_at=now,
            lapses_at=now + timedelta(seconds=ttl),
            booked_until=now,
            estimate=estimate.exact,
            currency=estimate.amount.currency,
            price_version=estimate.price_version,
        )
        _note(row, "reserved", actor, now, {"gpu_hours": str(estimate.gpu_hours), "estimate": str(estimate.exact)})
        return _granted(row, estimate, hold, answer, allowance)


def priced(tenant: Tenant, wish: Wish, now: datetime) -> Estimate:
    """What a job would cost that is to start now; nothing is held. Raises Invalid for a model that nobody knows."""
    known_models.require(tenant, wish.gpu_model, now)
    return _estimate(tenant, wish, now)


def extend(tenant: Tenant, public_id: UUID, seconds: int, *, actor: str, now: datetime) -> Granted:
    """Expect `seconds` in all instead of what was expected, if the caps allow the rest. The same number again changes nothing.

    Raises what `reserve` raises, and Conflict when it has ended or would become shorter.
    """
    with acting(actor, "extended"), transaction.atomic():
        row = ending.locked(tenant, public_id)
        if row.state != ReservationState.HELD:
            raise Conflict(f"This reservation has ended: it is {row.state}.", state=row.state)
        if seconds < row.expected_seconds:
            raise invalid("expected_hours", "A reservation is extended, not shortened: settle it when the job ends.")
        wish = Wish(row.gpus, row.gpu_model, row.fraction, seconds - row.expected_seconds, row.labels)
        before = book.hold_of(row)
        estimate = _estimate(tenant, wish, now)
        allowance = caps.of(tenant, row.labels.get(book.PROJECT, ""), row.currency, now)
        _not_too_long(tenant, seconds, allowance)
        longer = Reservation(gpus=row.gpus, fraction=row.fraction, expected_seconds=seconds)
        more = book.reserved(longer) - book.reserved(row)
        hold = replace(before, amount=before.amount + more, cost=before.cost + estimates.micro(estimate.exact))
        answer = _ask(tenant, hold, allowance, now, more=True)
        if wish.seconds:
            row.expected_seconds, row.estimate = seconds, row.estimate + estimate.exact
            row.save(update_fields=["expected_seconds", "estimate"])
            _note(row, "extended", actor, now, {"expected_hours": str(hours(seconds)), "estimate": str(row.estimate)})
        return _granted(row, estimate, hold, answer, allowance)


def _estimate(tenant: Tenant, wish: Wish, now: datetime) -> Estimate:
    return estimates.estimate(
        tenant,
        gpus=wish.gpus,
        gpu_model=wish.gpu_model,
        fraction=wish.fraction,
        seconds=wish.seconds,
        labels=wish.labels,
        now=now,
    )


def _not_too_long(tenant: Tenant, seconds: int, allowance: Allowance) -> None:
    longest = allowance.longest_seconds
    if longest is not None and seconds > longest:
        raise cap_reached(tenant, caps.HOURS_OF_ONE, float(hours(longest)), 0, float(hours(seconds)), "hours")


def _ask(tenant: Tenant, hold: Hold, allowance: Allowance, now: datetime, *, more: bool = False) -> Answer:
    answer = book.ask(tenant, hold, allowance.caps, now, more=more)
    if answer.code and (ending.lapse_due(tenant, now) or book.is_stale(tenant, now) or answer.code == "conflict"):
        # What was abandoned makes room at once, not only when the next periodic run finds it.
        book.build(tenant, now)
        answer = book.ask(tenant, hold, allowance.caps, now, more=more)
    if answer.code:
        raise refusal(tenant, hold, answer, allowance, now)
    return answer


def _granted(row: Reservation, estimate: Estimate, hold: Hold, answer: Answer, allowance: Allowance) -> Granted:
    caps_now = allowance.caps
    taken = answer.used + answer.held + hold.amount
    limit = allowance.quota.limit
    gpus = None if caps_now.gpus is None else Decimal(max(0, caps_now.gpus - answer.gpus - hold.gpus)) / PART
    return Granted(
        row,
        estimate,
        None if caps_now.quota is None else hours(max(0, caps_now.quota - taken)),
        gpus,
        limit is not None and taken > limit * HOUR,
    )


def _note(row: Reservation, kind: str, actor: str, now: datetime, detail: dict[str, Any]) -> None:
    ReservationChange.objects.create(
        tenant=row.tenant, reservation=row, at=now, kind=kind, actor=actor[:160], detail=detail
    )
