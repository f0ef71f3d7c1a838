"""Mails about requests for higher limits: from plain values to a Letter. Amounts come in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from . import wording
from .rendering import Letter, page, render


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """A request: `limit` is what it is about ("GPU hours a month"), `asked`, `before` and `granted` are amounts with their units.

    `until` is what was asked for or, once decided, what was granted; None is for good. `decider` is "" before the decision.
    """

    name: str
    slug: str
    zone: str
    limit: str
    before: str
    asked: str
    until: datetime | None
    who: str
    justification: str
    granted: str = ""
    reason: str = ""
    by_rule: bool = False


@dataclass(frozen=True, slots=True)
class ImpactFacts:
    """What operators see at once: use and forecast in words, the extra cost of a month, why no rule has granted it; each may be ""."""

    used: str = ""
    forecast: str = ""
    extra: str = ""
    why_not: str = ""


def request_made(facts: RequestFacts, impact: ImpactFacts, request_pk: int) -> Letter:
    """To the operators: who asks for what and why, and what it would mean."""
    rows = [
        ("Used this month", impact.used),
        ("Expected by its end", impact.forecast),
        ("Costs more, if all is used", impact.extra),
        ("No rule granted it", impact.why_not),
    ]
    context = {
        **_shared(facts),
        "tone": "",
        "headline": f"{facts.name} asks for more",
        "rows": [{"label": label, "value": value} for label, value in rows if value],
        "url": page("admin:tenants_quotarequest_change", str(request_pk)),
        "page_label": "Look at it and decide",
        "why": "You receive this because your address is one of the platform's alert recipients (PLATFORM_ALERT_EMAILS).",
    }
    return render("quota-request-made", context)


def request_decided(facts: RequestFacts, *, asked_by_reader: bool) -> Letter:
    """To who has asked, and to the tenant's managers: what was granted until when, or why not."""
    part = facts.granted != facts.asked
    if not facts.granted:
        headline = "Your request was denied" if asked_by_reader else "A request was denied"
    else:
        what = "granted in part" if part else "granted"
        headline = f"Your request was {what}" if asked_by_reader else f"A request was {what}"
    context = {
        **_shared(facts),
        "tone": "good" if facts.granted else "warn",
        "headline": headline,
        "granted": facts.granted,
        "is_part": bool(facts.granted) and part,
        "reason": facts.reason,
        "decided": "by a rule of the platform" if facts.by_rule else "by the platform's operators",
        "url": page("web:quotas", facts.slug) + "#requests",
        "page_label": "Open quotas and limits",
        "why": "You receive this because you asked."
        if asked_by_reader
        else f"You receive this as an owner or admin of {facts.name}.",
    }
    return render("quota-request-decided", context)


def grant_ends(facts: RequestFacts, *, after: str, ends_at: datetime, now: datetime) -> Letter:
    """To who has asked, and to the tenant's managers: the grant ends soon; `after` is the limit then."""
    left = ends_at - now
    days = max(1, round(left.total_seconds() / 86_400))
    soon = f"in {days} days" if days > 1 else "within a day"
    context = {
        **_shared(facts),
        "tone": "warn",
        "headline": f"{facts.limit}: the higher limit ends {soon}",
        "granted": facts.granted,
        "after": after,
        "ends": wording.moment(ends_at, facts.zone),
        "url": page("web:quotas", facts.slug) + "#requests",
        "page_label": "See it and ask for more",
        "why": f"You receive this because you asked for it, or as an owner or admin of {facts.name}.",
    }
    return render("quota-grant-ends", context)


def _shared(facts: RequestFacts) -> dict[str, object]:
    return {
        "tenant": facts.name,
        "limit": facts.limit,
        "before": facts.before,
        "asked": facts.asked,
        "until": wording.moment(facts.until, facts.zone) if facts.until else "",
        "who": facts.who,
        "justification": facts.justification,
        "zone": facts.zone,
    }
