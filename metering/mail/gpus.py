"""Mails about GPUs: time that belongs to nobody, GPUs that lie idle, reservations that are about to be released. From plain values to a Letter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from . import wording
from .rendering import Letter, page, render


@dataclass(frozen=True, slots=True)
class NobodysFacts:
    """Time of a device today that nobody could be named for, and what ran."""

    device: str
    hours: Decimal
    processes: Sequence[str]


@dataclass(frozen=True, slots=True)
class IdleFacts:
    """A GPU, or a part of one, that is held and not used. `cost_per_hour` in words, "" where no price is known."""

    name: str
    slug: str
    zone: str
    device: str
    since: datetime
    idle_for: timedelta
    cost_per_hour: str = ""


@dataclass(frozen=True, slots=True)
class ReleaseFacts:
    """A reservation whose GPUs lie idle. `released_at`: when it is going to be released, or when it was."""

    name: str
    slug: str
    zone: str
    what: str
    idle_for: timedelta
    released_at: datetime


def unattributed(facts: Sequence[NobodysFacts], count: int, now: datetime) -> Letter:
    """To operators: `count` devices have GPU time of nobody today; `facts` are those with most of it."""
    where = facts[0].device if count == 1 else f"{count} GPUs"
    return _letter(
        "gpu-unattributed",
        headline=f"Nobody can be named for GPU time on {where}",
        short=f"GPU time of nobody: {where}",
        eyebrow="Platform · unattributed GPU time",
        lead="Processes hold these GPUs and no step of attribution names their tenant. The time is billed to nobody.",
        lines=[
            {
                "label": each.device,
                "note": ", ".join(each.processes[:3]),
                "value": wording.quantity(each.hours, "GPU hour"),
            }
            for each in facts
        ],
        more=count - len(facts),
        advice="Set the variable in the launcher, label the container, or add a line to the mapping table.",
        url=page("admin:metering_unattributedgputime_changelist"),
        label="Open unattributed time",
        measured=wording.moment(now, "UTC"),
        zone="UTC",
        why="You receive this as an operator of the platform, once per GPU and day.",
    )


def idle(facts: IdleFacts, now: datetime) -> Letter:
    """To the admins of the tenant that holds it."""
    lasted = duration(facts.idle_for)
    cost = f" It costs {facts.cost_per_hour} an hour." if facts.cost_per_hour else ""
    return _letter(
        "gpu-idle",
        headline=f"A GPU that {facts.name} holds is idle",
        short=f"Idle for {lasted}: {facts.device}",
        eyebrow=f"GPUs · {facts.name}",
        lead=f"{facts.device} is held and has not been used for at least {lasted}. What is held is billed, used or not.{cost}",
        lines=[
            {"label": facts.device, "note": f"idle since {wording.moment(facts.since, facts.zone)}", "value": lasted}
        ],
        more=0,
        advice="End the job or give the reservation back, unless it is about to start.",
        url=page("web:gpus", facts.slug),
        label="See your GPUs",
        measured=wording.moment(now, facts.zone),
        zone=facts.zone,
        why=f"You receive this as an owner or admin of {facts.name}, at most once per GPU and day, because an operator asked for it.",
    )


def release_announced(facts: ReleaseFacts, now: datetime) -> Letter:
    """To the admins of the tenant: use it or lose it."""
    at = wording.moment(facts.released_at, facts.zone)
    lasted = duration(facts.idle_for)
    return _letter(
        "gpu-release",
        headline=f"{facts.what} will be released if it stays idle",
        short=f"{facts.what} will be released",
        eyebrow=f"GPUs · {facts.name}",
        lead=f"The reservation of {facts.what} has not been used for at least {lasted}. Unless its GPUs are used by {at}, it is released.",
        lines=[{"label": facts.what, "note": f"released after {at}", "value": lasted}],
        more=0,
        advice="Nothing is stopped by a release: a job that runs on is billed as measured. Using the GPUs keeps the reservation.",
        url=page("web:reservations", facts.slug),
        label="Open reservations",
        measured=wording.moment(now, facts.zone),
        zone=facts.zone,
        why=f"You receive this as an owner or admin of {facts.name}, because the platform releases idle reservations.",
    )


def released(facts: ReleaseFacts, now: datetime) -> Letter:
    """To the admins of the tenant: it was released."""
    lasted = duration(facts.idle_for)
    return _letter(
        "gpu-release",
        headline=f"{facts.what} was released",
        short=f"{facts.what} was released: idle for {lasted}",
        eyebrow=f"GPUs · {facts.name}",
        lead=f"The reservation of {facts.what} was announced for release and stayed idle. It was released; it is billed until it was last confirmed.",
        lines=[
            {
                "label": facts.what,
                "note": f"released {wording.moment(facts.released_at, facts.zone)}",
                "value": lasted,
            }
        ],
        more=0,
        advice="Reserve again whenever you need the GPUs.",
        url=page("web:reservations", facts.slug),
        label="Open reservations",
        measured=wording.moment(now, facts.zone),
        zone=facts.zone,
        why=f"You receive this as an owner or admin of {facts.name}, because the platform releases idle reservations.",
    )


def duration(length: timedelta) -> str:
    """'45 minutes', '3 hours', '2 days': rounded down, as it is at least that."""
    minutes = int(length.total_seconds() // 60)
    for size, name in ((1440, "day"), (60, "hour")):
        if minutes >= 2 * size or (minutes >= size and minutes % size == 0):
            count = minutes // size
            return f"{count} {name}" if count == 1 else f"{count} {name}s"
    return "1 minute" if minutes == 1 else f"{minutes} minutes"


def _letter(
    kind: str,
    *,
    headline: str,
    short: str,
    eyebrow: str,
    lead: str,
    lines: Sequence[dict[str, str]],
    more: int,
    advice: str,
    url: str,
    label: str,
    measured: str,
    zone: str,
    why: str,
) -> Letter:
    return render(
        kind,
        {
            "tone": "warn",
            "headline": headline,
            "headline_short": short,
            "eyebrow": eyebrow,
            "lead": lead,
            "lines": lines,
            "more": more,
            "advice": advice,
            "url": url,
            "page_label": label,
            "measured": measured,
            "zone": zone,
            "why": why,
        },
    )
