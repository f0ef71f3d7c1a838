"""Which GPU time a reservation pays for, so that no collector bills it again.

A reservation bills its GPUs from its start to its end, whatever runs (metering/reservations). A collector bills what it finds held. The rule
that lets each GPU second be billed once (ADR 20):

- On a device, a reservation *covers* a share of what its tenant holds there: its fraction of a GPU, or the MIG instance.
- It covers first the devices on which a process names it (`AURELIUS_RESERVATION_ID`), then, as far as its GPUs reach, other devices of its
  model that its tenant holds. GPUs that other nodes have seen it on are gone from what it can cover here.
- A covered share is held like an assignment: others divide the rest. The collector bills what the tenant holds beyond it.
- So what a job takes beyond its reservation is billed by the collector, and what it leaves idle by the reservation.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from uuid import UUID

from django.db.models import Q

from metering.ledger.event_parsing import OLDEST
from metering.models import CollectorStatus, Reservation, ReservationState

from .policy import RESERVATION, Hold, shares_at

MICROSECOND = timedelta(microseconds=1)
PLACED_FOR = timedelta(minutes=10)
"""So long GPUs count as placed on another node after it saw them last."""


@dataclass(frozen=True, slots=True)
class Reserved:
    """A reservation as collectors see it. `capacity` is what it can cover on this node, in whole GPUs; `job` the batch job that it is for."""

    id: str
    tenant: str
    model: str
    fraction: Fraction
    capacity: Fraction
    started_at: datetime
    ended_at: datetime | None = None
    job: str = ""

    def at(self, instant: datetime) -> bool:
        return self.started_at <= instant and (self.ended_at is None or instant < self.ended_at)


@dataclass(frozen=True, slots=True)
class Seen:
    """A device in a sample: its part of a GPU (1, or less for a MIG instance), the tenants that hold it, the reservations that its
    processes name, and the tenants that have a process on it."""

    device: str
    model: str
    fraction: Fraction
    tenants: Collection[str]
    named: Collection[str] = frozenset()
    working: Collection[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Covered:
    """A reservation pays for `share` of a device (at most 1) in [since, until)."""

    reservation: str
    tenant: str
    device: str
    share: Fraction
    since: datetime
    until: datetime | None

    def hold(self) -> Hold:
        return Hold(self.tenant, self.since, self.until, self.share, RESERVATION)

    def at(self, instant: datetime) -> bool:
        return self.since <= instant and (self.until is None or instant < self.until)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A collector found a reservation's tenant at work on so many GPUs that it covers, `at` that instant (None: when its run began)."""

    reservation: str
    gpus: Fraction
    at: datetime | None = None


@dataclass
class _Left:
    reserved: Reserved
    capacity: Fraction
    devices: set[str] = field(default_factory=set)


def cover_between(
    seen_at: Callable[[datetime], Sequence[Seen]],
    reserved: Sequence[Reserved],
    start: datetime,
    end: datetime,
    edges: Iterable[datetime] = (),
) -> list[Covered]:
    """What reservations cover from `start` on: asked anew whenever one begins or ends, and at the `edges`, where what is seen changes.

    So a reservation that has ended takes no device from the next one, and one covers no more than its GPUs while its job moves. What is
    covered at `end` is so until the reservation ends.
    """
    instants = {start} | {edge for edge in edges if start < edge < end}
    for each in reserved:
        instants |= {edge for edge in (each.started_at, each.ended_at) if edge is not None and start < edge < end}
    found: list[Covered] = []
    last: dict[tuple[str, str, Fraction], int] = {}
    stretches = sorted(instants)
    for left, right in itertools.zip_longest(stretches, stretches[1:]):
        for covered in cover(seen_at(left), [each for each in reserved if each.at(left)]):
            key = (covered.reservation, covered.device, covered.share)
            piece = replace(covered, since=left, until=covered.until if right is None else right)
            if (before := last.get(key)) is not None and found[before].until == left:
                found[before] = replace(found[before], until=piece.until)
            else:
                last[key] = len(found)
                found.append(piece)
    return found


def cover(devices: Sequence[Seen], reserved: Iterable[Reserved]) -> list[Covered]:
    """Which devices each reservation that is in force covers, in an order that is always the same."""
    left = [_Left(each, each.capacity) for each in sorted(reserved, key=lambda each: (each.started_at, each.id))]
    ordered = sorted(devices, key=lambda each: each.device)
    taken: dict[str, Fraction] = {}
    found = [_take(each, seen, taken) for each in left for seen in ordered if each.reserved.id in seen.named]
    for each in left:
        for seen in ordered:
            fits = seen.model == each.reserved.model and each.reserved.tenant in seen.tenants
            if fits and seen.device not in each.devices:
                found.append(_take(each, seen, taken))
    return [each for each in found if each is not None]


def _take(left: _Left, seen: Seen, taken: dict[str, Fraction]) -> Covered | None:
    wanted = seen.fraction if seen.fraction < 1 else left.reserved.fraction
    part = min(wanted, left.capacity, seen.fraction - taken.get(seen.device, Fraction(0)))
    if part <= 0:
        return None
    left.capacity -= part
    left.devices.add(seen.device)
    taken[seen.device] = taken.get(seen.device, Fraction(0)) + part
    which = left.reserved
    return Covered(which.id, which.tenant, seen.device, part / seen.fraction, which.started_at, which.ended_at)


def unpaid(
    holds: Sequence[Hold], covered: Sequence[Covered], start: datetime, end: datetime
) -> dict[str | None, Fraction]:
    """As `policy.divide`, but only what no reservation pays for: each holder's micro-seconds of the device within [start, end)."""
    everyone = [*holds, *(each.hold() for each in covered)]
    edges = {start, end}
    for hold in everyone:
        edges |= {edge for edge in (hold.since, hold.until) if edge is not None and start < edge < end}
    owed: dict[str | None, Fraction] = {}
    for left, right in itertools.pairwise(sorted(edges)):
        length = (right - left) // MICROSECOND
        for tenant, share in shares_at(everyone, left).items():
            paid = sum((each.share for each in covered if each.tenant == tenant and each.at(left)), Fraction(0))
            owed[tenant] = owed.get(tenant, Fraction(0)) + max(Fraction(0), share - paid) * length
    return {tenant: amount for tenant, amount in owed.items() if amount}


def sightings(devices: Sequence[Seen], covered: Iterable[Covered], now: datetime) -> Iterator[Sighting]:
    """The reservations whose tenants are at work on what they cover now."""
    at = {seen.device: seen for seen in devices}
    gpus: dict[str, Fraction] = {}
    for each in covered:
        if each.at(now) and each.tenant in at[each.device].working:
            gpus[each.reservation] = gpus.get(each.reservation, Fraction(0)) + each.share * at[each.device].fraction
    return (Sighting(id, amount, now) for id, amount in sorted(gpus.items()))


# -------------------------------------------------------------------------------------------------------------- the database


def since(node: str, now: datetime) -> datetime:
    """From when on the node's collectors must know reservations: a day back, or where one of them that catches up has got to, as long as
    the ledger takes its events."""
    rows = CollectorStatus.objects.filter(node=node, memory__has_key="until").values_list("memory__until", flat=True)
    instants = [datetime.fromtimestamp(until, UTC) for until in rows if isinstance(until, int | float)]
    return max(now - OLDEST, min([now - timedelta(days=1), *instants]))


def in_force(node: str, since: datetime, until: datetime) -> list[Reserved]:
    """The reservations that touch [since, until), with what other nodes leave of them to this one."""
    rows = Reservation.objects.filter(Q(ended_at__isnull=True) | Q(ended_at__gt=since), started_at__lt=until)
    return [_reserved(row, node, until) for row in rows.select_related("tenant").order_by("pk")]


def keep(node: str, seen: Iterable[Sighting], now: datetime) -> None:
    """Write down where reservations were seen, in the caller's transaction: it confirms that they are held, and puts off no lapse.

    A Prometheus tells of the past: what it saw confirms no more than that instant.
    """
    by_id = {UUID(each.reservation): each for each in seen}
    rows = Reservation.objects.select_for_update(of=("self",)).filter(
        public_id__in=by_id, state=ReservationState.HELD, started_at__lte=now
    )
    for row in rows.order_by("pk"):
        sighting = by_id[row.public_id]
        at = min(sighting.at or now, now)
        known = row.placements.get(node)
        if at < row.started_at or (known and at < datetime.fromisoformat(known["at"])):
            continue
        row.seen_at = max(at, row.seen_at or at)
        row.placements |= {node: {"gpus": str(sighting.gpus), "at": at.isoformat()}}
        row.save(update_fields=["seen_at", "placements"])


def _reserved(row: Reservation, node: str, now: datetime) -> Reserved:
    fraction = Fraction(row.fraction)
    elsewhere = sum(
        (
            Fraction(place["gpus"])
            for name, place in row.placements.items()
            if name != node and datetime.fromisoformat(place["at"]) > now - PLACED_FOR
        ),
        Fraction(0),
    )
    capacity = max(Fraction(0), row.gpus * fraction - elsewhere)
    return Reserved(
        str(row.public_id),
        row.tenant.slug,
        row.gpu_model,
        fraction,
        capacity,
        row.started_at,
        row.ended_at,
        str(row.labels.get("job", "")),
    )
