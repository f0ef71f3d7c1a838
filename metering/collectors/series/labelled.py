"""GPUs whose holders are named by labels of time series, and what reservations pay of them. See coverage.py for the rule."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

from metering.attribution import coverage, steps
from metering.attribution.coverage import Covered, Reserved, Seen, Sighting
from metering.attribution.policy import ASSIGNMENT, RESERVATION, UNATTRIBUTED, Hold, shares_at
from metering.attribution.steps import LABEL_TENANT, Facts, Owner, Rule


@dataclass(frozen=True)
class Owners:
    """Whose a series is, by the steps of attribution, as far as labels can tell: they know no environment, and no user or program.

    `mapping` is the collector's own: what the value of the tenant's label stands for.
    """

    tenant_label: str
    reservation_label: str
    job_label: str
    mapping: Mapping[str, str]
    known: steps.Known

    @classmethod
    def of(
        cls, labels: tuple[str, str, str], mapping: Mapping[str, str], tenants: Collection[str],
        reserved: Sequence[Reserved], rules: Sequence[Rule],
    ) -> Owners:  # fmt: skip
        by_id = {each.id: each.tenant for each in reserved}
        jobs = {each.job: each.id for each in reserved if each.job}
        return cls(*labels, mapping, steps.Known(tenants, by_id, jobs, rules))

    def names_somebody(self, labels: Mapping[str, str]) -> bool:
        """Without any of these labels, nobody holds the device."""
        return any(labels.get(name) for name in (self.tenant_label, self.reservation_label, self.job_label))

    def owner(self, labels: Mapping[str, str]) -> Owner | None:
        """The first step that names somebody, None when none does."""
        value = labels.get(self.tenant_label, "")
        return steps.owner_of(
            Facts(
                reservation=labels.get(self.reservation_label, ""),
                job=labels.get(self.job_label, ""),
                labels={LABEL_TENANT: self.mapping.get(value, value)},
                places=_places(labels),
            ),
            self.known,
        )

    def tenant(self, labels: Mapping[str, str]) -> str | None:
        owner = self.owner(labels)
        return owner.tenant if owner else None

    def said(self, labels: Mapping[str, str]) -> str:
        """What the labels say of the holder, for people."""
        return labels.get(self.tenant_label) or labels.get(self.reservation_label) or labels.get(self.job_label) or ""


def _places(labels: Mapping[str, str]) -> list[str]:
    """As the mapping table knows containers: their name, and namespace/pod."""
    found = []
    for prefix in ("", "exported_"):
        pod, namespace = labels.get(f"{prefix}pod", ""), labels.get(f"{prefix}namespace", "")
        found += [f"{namespace}/{pod}"] if pod else []
        found += [labels[f"{prefix}container"]] if labels.get(f"{prefix}container") else []
    return found


@dataclass
class Labelled:
    """A device, or a MIG instance, with everyone who holds it in a window; `named` are the reservations that its series name, and when."""

    uuid: str
    model: str
    holds: Sequence[Hold]
    fraction: Fraction = Fraction(1)
    named: Sequence[tuple[datetime, datetime, str]] = ()
    covered: list[Covered] = field(default_factory=list)

    def seen(self, instant: datetime) -> Seen:
        """The device as reservations look at it at an instant."""
        there = [each for each in self.holds if each.since <= instant and (each.until is None or instant < each.until)]
        return Seen(
            self.uuid,
            self.model,
            self.fraction,
            tenants={each.tenant for each in there if each.tenant},
            named={id for since, until, id in self.named if since <= instant < until},
            working={each.tenant for each in there if each.tenant and each.by != ASSIGNMENT},
        )

    def owed(self, start: datetime, end: datetime) -> dict[str | None, Fraction]:
        """Each holder's micro-seconds of a whole GPU within [start, end) that no reservation pays for."""
        unpaid = coverage.unpaid(self.holds, self.covered, start, end)
        return unpaid if self.fraction == 1 else {tenant: each * self.fraction for tenant, each in unpaid.items()}

    def everyone(self) -> list[Hold]:
        """Holds, with what reservations cover."""
        return [*self.holds, *(each.hold() for each in self.covered)]

    def holders(self, instant: datetime) -> list[dict[str, object]]:
        """As models.GpuDevice keeps them: who held which share just before an instant."""
        before = instant - coverage.MICROSECOND
        by = {
            each.tenant: each.by
            for each in reversed(self.everyone())
            if each.since <= before and (each.until is None or before < each.until)
        }
        shares = sorted(shares_at(self.everyone(), before).items(), key=lambda item: (item[0] is None, item[0] or ""))
        return [
            {"tenant": tenant, "share": f"{float(share):.4f}", "by": by.get(tenant, UNATTRIBUTED), "processes": 0}
            for tenant, share in shares
        ]


def hold(owner: Owner | None, since: datetime, until: datetime, said: str) -> Hold:
    """A series was there in [since, until)."""
    if owner is None:
        return Hold(None, since, until, None, UNATTRIBUTED, said)
    return Hold(owner.tenant, since, until, None, RESERVATION if owner.reservation else owner.by, said)


def cover(
    devices: Sequence[Labelled], reserved: Sequence[Reserved], start: datetime, end: datetime
) -> tuple[Sighting, ...]:
    """Tell the devices what reservations cover of them in [start, end); the reservations that are at work at its end."""
    around = [each for each in reserved if each.started_at <= end and (each.ended_at is None or each.ended_at > start)]
    models, tenants = {each.model for each in around}, {each.tenant for each in around}
    by_uuid = {
        each.uuid: each
        for each in devices
        if (each.model in models or each.named) and any(hold.tenant in tenants for hold in each.holds)
    }
    if not by_uuid:
        return ()
    edges = {
        edge
        for each in by_uuid.values()
        for hold in each.holds
        if hold.tenant in tenants
        for edge in (hold.since, hold.until)
        if edge is not None
    }
    found = coverage.cover_between(
        lambda instant: [each.seen(instant) for each in by_uuid.values()], around, start, end, edges
    )
    for covered in found:
        by_uuid[covered.device].covered.append(covered)
    return tuple(coverage.sightings([each.seen(end) for each in by_uuid.values()], found, end))
