"""Whose GPU time is it? Assignment first, then the process's environment; who cannot be named is listed as unattributed.

The policy, in one place:
- An *assignment* (a device, or a fraction of it, given to a tenant) holds its fraction whether a process runs or not.
- What assignments leave of a device is divided equally among the other tenants that have a compute process on it, from the start of
  their first process on. Processes that nobody can be named for count together as one such holder, "unattributed".
- So the shares of a device sum to at most 1 at any instant, and to exactly 1 while a process runs on it.
- A process of a tenant with an assignment on that device runs inside the assignment.
- Whose a process is, five steps say (steps.py); what a reservation pays for is in coverage.py.
- How the parts of a device come to exactly 1, with what is free: division.py.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from pwd import getpwuid

from django.db import transaction

from metering.models import GpuAssignment, GpuDevice
from tenants.audit import acting
from tenants.models import Tenant

from . import containers, steps
from .steps import Facts, Known, Rule

ASSIGNMENT, RESERVATION, ENVIRONMENT, UNATTRIBUTED = "assignment", "reservation", "environment", "unattributed"
RESERVATION_VARIABLE = "AURELIUS_RESERVATION_ID"
"""In the environment of a job's processes: the reservation that they run under."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A tenant (None: nobody can be named) holds a device in [since, until). `share` is fixed, or None: what is left, divided equally."""

    tenant: str | None
    since: datetime
    until: datetime | None = None
    share: Fraction | None = None
    by: str = UNATTRIBUTED
    process: str = ""


@dataclass(frozen=True, slots=True)
class Assigned:
    """A GpuAssignment as collectors see it."""

    device: str
    tenant: str
    fraction: Fraction
    starts_at: datetime
    ends_at: datetime | None

    def hold(self) -> Hold:
        return Hold(self.tenant, self.starts_at, self.ends_at, self.fraction, ASSIGNMENT)


# ----------------------------------------------------------------------------------------------------------- the division


def shares_at(holds: Iterable[Hold], instant: datetime) -> dict[str | None, Fraction]:
    """Each holder's share of the device at an instant; tenant None is the unattributed. Sums to at most 1."""
    present = [hold for hold in holds if hold.since <= instant and (hold.until is None or instant < hold.until)]
    fixed: dict[str | None, Fraction] = {}
    for hold in present:
        if hold.share is not None:
            fixed[hold.tenant] = fixed.get(hold.tenant, Fraction(0)) + hold.share
    total = sum(fixed.values(), Fraction(0))
    if (
        total > 1
    ):  # assignments are checked when they are made; should they ever overlap, nobody pays for more than the device
        fixed = {tenant: share / total for tenant, share in fixed.items()}
        total = Fraction(1)
    others = {hold.tenant for hold in present if hold.share is None and hold.tenant not in fixed}
    return fixed | {tenant: (1 - total) / len(others) for tenant in others}


def divide(holds: Sequence[Hold], start: datetime, end: datetime) -> dict[str | None, Fraction]:
    """Each holder's micro-seconds of one device within [start, end): a sum of exact fractions, at most the interval's length."""
    edges = {start, end}
    for hold in holds:
        edges |= {edge for edge in (hold.since, hold.until) if edge is not None and start < edge < end}
    held: dict[str | None, Fraction] = {}
    for left, right in itertools.pairwise(sorted(edges)):
        length = (right - left) // timedelta(microseconds=1)
        for tenant, share in shares_at(holds, left).items():
            held[tenant] = held.get(tenant, Fraction(0)) + share * length
    return {tenant: amount for tenant, amount in held.items() if amount}


def whole(amounts: dict[str | None, Fraction]) -> dict[str | None, int]:
    """The same in whole numbers: the sum is the floor of the exact sum, and nobody is off by 1 or more."""
    whole_amounts: dict[str | None, int] = {}
    running, given = Fraction(0), 0
    for tenant in sorted(amounts, key=lambda slug: (slug is None, slug or "")):
        running += amounts[tenant]
        whole_amounts[tenant] = int(running) - given
        given = int(running)
    return whole_amounts


# -------------------------------------------------------------------------------------------------------------- processes


@dataclass(frozen=True, slots=True)
class ProcessOwner:
    """What a node tells about a process: the tenant (None with the reason), how long it runs in seconds (None: unknown), its name, and
    which step of attribution named the tenant."""

    tenant: str | None
    age_seconds: float | None
    name: str
    why: str = ""
    reservation: str = ""
    by: str = ""


class Owners:
    """Whose the processes of a node are, asked in one sample. `tenants` are those that may be named, `reserved` the tenants of known
    reservations by id, `jobs` reservations by batch job, `rules` the mapping table.

    steps.py decides; here its facts are read. The environment is what the launcher gave the process: list only a node whose
    launcher sets it, not its users (docs/collectors.md). Environment and container do not change while the process lives, so what
    they say is remembered between samples.
    """

    def __init__(
        self,
        *,
        proc: Path,
        variable: str,
        tenants: Collection[str],
        reserved: Mapping[str, str] | None = None,
        jobs: Mapping[str, str] | None = None,
        rules: Sequence[Rule] = (),
    ) -> None:
        self.proc, self.variable = str(proc), variable
        self.known = Known(tenants, reserved or {}, jobs or {}, rules)
        self.uptime: float | None = None
        """Seconds since the node started, read with the first process: all ages of a sample are of one instant."""

    def of(self, pid: int) -> ProcessOwner:
        """What can be said about one process."""
        folder = f"{self.proc}/{pid}"
        try:
            started, name = _start_and_name(folder)
            if self.uptime is None:
                self.uptime = float(_read(f"{self.proc}/uptime").split()[0])
        except (OSError, ValueError, IndexError):
            return ProcessOwner(None, None, f"pid {pid}", "the process is gone or in another pid namespace")
        age = max(0.0, self.uptime - started / _TICKS)
        label = f"{name} (pid {pid})"
        reservation = slug = why = ""
        if self.variable:
            try:
                reservation, slug = _said(folder, started, self.variable)
            except OSError as error:
                why = f"its environment cannot be read: {error.strerror}"
        user, place = _where(folder, started)
        facts = Facts(name, user, reservation, slug, place.job, place.labels, place.names)
        if (owner := steps.owner_of(facts, self.known)) is not None:
            return ProcessOwner(owner.tenant, age, label, reservation=owner.reservation, by=owner.by)
        return ProcessOwner(None, age, label, why or self._nothing_said(slug))

    def _nothing_said(self, slug: str) -> str:
        if not self.variable:
            return "environments are not read on this node"
        return f"{self.variable} names no tenant: {slug[:40]!r}" if slug else f"no {self.variable} in its environment"


_TICKS = os.sysconf("SC_CLK_TCK")


@lru_cache(maxsize=32_768)
def _where(folder: str, started: int) -> tuple[str, containers.Place]:
    """(Unix user, where it runs) of a process; as far as it can be read."""
    try:
        place = containers.place_of(_read(f"{folder}/cgroup"))
    except OSError:
        place = containers.Place()
    if place.container:
        root = os.path.dirname(os.path.dirname(folder)) or "/"
        place = replace(place, labels=containers.labels_of(place.container, root))
    try:
        number = os.stat(folder).st_uid
    except OSError:
        return "", place
    try:
        return getpwuid(number).pw_name, place
    except KeyError:
        return str(number), place


@lru_cache(maxsize=32_768)
def _said(folder: str, started: int, variable: str) -> tuple[str, str]:
    """(reservation, tenant) that a process names; `started` tells it from another that got its number later."""
    environment = _read_bytes(f"{folder}/environ").split(b"\0")
    return _named(environment, RESERVATION_VARIABLE), _named(environment, variable)


def _named(environment: Iterable[bytes], variable: str) -> str:
    prefix = variable.encode() + b"="
    return next(
        (entry[len(prefix) :].decode("ascii", "replace") for entry in environment if entry.startswith(prefix)), ""
    )


def _start_and_name(folder: str) -> tuple[int, str]:
    stat = _read(f"{folder}/stat")
    bracket = stat.rindex(")")
    name = stat[stat.index("(") + 1 : bracket]  # may itself hold spaces and brackets
    return int(stat[bracket + 2 :].split(None, 20)[19]), name


def _read(path: str) -> str:
    return _read_bytes(path).decode(errors="replace")


def _read_bytes(path: str) -> bytes:
    """A file of /proc, whole. Thousands are read per sample, and this costs a third of open()."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        parts = []
        while part := os.read(descriptor, 65_536):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


# ------------------------------------------------------------------------------------------------------------ assignments


class AssignmentError(ValueError):
    """The assignment cannot be: the message says why and what is free."""


def assign(
    device: GpuDevice,
    tenant: Tenant,
    *,
    fraction: Decimal,
    starts_at: datetime,
    ends_at: datetime | None,
    actor: str,
    reason: str = "",
) -> GpuAssignment:
    """Give a fraction of a device to a tenant for a time. Raises AssignmentError when the device would be given away more than once."""
    if not fraction.is_finite() or not 0 < fraction <= 1:
        raise AssignmentError("The fraction lies above 0 and is at most 1.")
    if ends_at is not None and ends_at <= starts_at:
        raise AssignmentError("An assignment ends after it starts.")
    with acting(actor, reason), transaction.atomic():
        GpuDevice.objects.select_for_update().get(pk=device.pk)
        free = 1 - _most_taken(device, starts_at, ends_at)
        if fraction > free:
            raise AssignmentError(
                f"Only {free:f} of this GPU is free then, not {fraction:f}. End another assignment or ask for less."
            )
        return GpuAssignment.objects.create(
            device=device, tenant=tenant, fraction=fraction, starts_at=starts_at, ends_at=ends_at, reason=reason
        )


def end(assignment: GpuAssignment, at: datetime, *, actor: str, reason: str = "") -> GpuAssignment:
    """Let an assignment end at the aware instant `at`. Raises AssignmentError when that is not after its start or it ends earlier."""
    with acting(actor, reason), transaction.atomic():
        row = GpuAssignment.objects.select_for_update(of=("self",)).get(pk=assignment.pk)
        if at <= row.starts_at or (row.ends_at is not None and row.ends_at < at):
            raise AssignmentError("The end lies after the start and not after the end that is set.")
        row.ends_at = at
        row.save(update_fields=["ends_at"])
        return row


def in_force(node: str, since: datetime, until: datetime) -> list[Assigned]:
    """Assignments of the node's devices that touch [since, until)."""
    rows = (
        GpuAssignment.objects.filter(device__node=node, starts_at__lt=until)
        .exclude(ends_at__lte=since)
        .values_list("device__uuid", "tenant__slug", "fraction", "starts_at", "ends_at")
    )
    return [Assigned(uuid, slug, Fraction(fraction), starts, ends) for uuid, slug, fraction, starts, ends in rows]


def _most_taken(device: GpuDevice, start: datetime, end: datetime | None) -> Decimal:
    """The highest sum of fractions at any instant of [start, end)."""
    rows = list(GpuAssignment.objects.filter(device=device).exclude(ends_at__lte=start))
    rows = [row for row in rows if end is None or row.starts_at < end]
    # The sum only grows where an assignment starts.
    instants = {start} | {row.starts_at for row in rows if row.starts_at > start}
    return max(
        sum(
            (row.fraction for row in rows if row.starts_at <= at and (row.ends_at is None or at < row.ends_at)),
            Decimal(0),
        )
        for at in instants
    )
