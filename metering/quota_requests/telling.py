"""Who hears of requests: operators of a new one, who has asked and the tenant's managers of the decision, webhooks of the decision.

Everything is owed in the transaction of the change. Runs outside of the tenant's scope: operators' mails belong to no tenant.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from django.conf import settings

from metering.mail import wording
from metering.mail.quota_requests import ImpactFacts, RequestFacts, request_decided, request_made
from metering.quota_requests import impact, rules, words
from metering.telling import notifications, recipients
from metering.webhooks import delivery as webhooks
from metering.webhooks.events import QUOTA_REQUEST_DECIDED
from tenants import access, signals
from tenants.models import Membership, QuotaRequest, QuotaRequestState

log = logging.getLogger(__name__)


def register() -> None:
    """Listen. Called once, when the apps are ready."""
    signals.quota_asked.connect(_asked, dispatch_uid="quota requests")
    signals.quota_decided.connect(_decided, dispatch_uid="quota requests")


def _asked(sender: object, *, request: QuotaRequest, now: datetime, **_: Any) -> None:
    """A rule decides, or the operators are told."""
    log.info("quota_request.made", extra={"tenant": request.tenant.slug, "limit": request.name})
    with access.platform_scope():
        verdict = rules.consider(request, now)
        if verdict.rule is None:
            letter = request_made(facts_of(request), _impact(request, verdict, now), request.pk)
            notifications.owe(
                letter,
                key=f"quota-request:{request.pk}",
                recipients=settings.PLATFORM_ALERT_EMAILS,
                tenant=None,
                now=now,
            )


def _decided(sender: object, *, request: QuotaRequest, now: datetime, **_: Any) -> None:
    log.info("quota_request.decided", extra={"tenant": request.tenant.slug, "state": request.state})
    with access.platform_scope():
        webhooks.owe(request.tenant, QUOTA_REQUEST_DECIDED, f"quota-request-{request.pk}", _data(request), now)
        asker, managers = people(request)
        facts = facts_of(request)
        for addresses, is_asker in ((asker, True), (managers, False)):
            if addresses:
                letter = request_decided(facts, asked_by_reader=is_asker)
                key = f"quota-request-decided:{request.pk}"
                notifications.owe(letter, key=key, recipients=addresses, tenant=request.tenant, now=now)


def people(request: QuotaRequest) -> tuple[list[str], list[str]]:
    """The address of who has asked, while they are a member or an operator, and those of the managers without it."""
    user = request.requested_by
    asker = ""
    if user is not None and user.is_active and user.email:
        member = Membership.objects.filter(tenant=request.tenant, user=user, removed_at__isnull=True).exists()
        asker = user.email if member or user.is_staff else ""
    managers = [each for each in recipients.of(request.tenant, recipients.MANAGERS) if each.lower() != asker.lower()]
    return [asker] if asker else [], managers


def facts_of(request: QuotaRequest) -> RequestFacts:
    """The request in words. `until` is the grant's end once it was granted."""
    kind, name = request.kind, request.name
    granted = request.state == QuotaRequestState.APPROVED
    ends = request.override.valid_until if granted and request.override else request.valid_until
    return RequestFacts(
        name=request.tenant.name,
        slug=request.tenant.slug,
        zone=request.tenant.time_zone,
        limit=words.limit_name(kind, name),
        before=words.amount(kind, name, request.limit_then),
        asked=words.amount(kind, name, request.asked),
        until=ends,
        who=_who(request),
        justification=request.justification,
        granted=words.amount(kind, name, request.granted) if granted else "",
        reason=request.decision_reason,
        by_rule=request.by_rule_id is not None,
    )


def _who(request: QuotaRequest) -> str:
    user = request.requested_by
    return (user.get_full_name() or user.get_username()) if user else "an API key"


def _impact(request: QuotaRequest, verdict: rules.Verdict, now: datetime) -> ImpactFacts:
    found = impact.of(request, now)
    unit = found.measure.display_unit if found.measure else ""
    end = found.forecast.end if found.forecast else None
    extra = found.extra
    return ImpactFacts(
        used=wording.quantity(found.status.used, unit) if found.status else "",
        forecast=f"{wording.quantity(end.p50, unit)}, at most {wording.quantity(end.p90, unit)}" if end else "",
        extra=wording.money(extra.amount.amount, extra.amount.currency) + " a month" if extra else "",
        why_not=verdict.why_not,
    )


def _data(request: QuotaRequest) -> dict[str, Any]:
    ends = request.override.valid_until if request.override else None
    return {
        "request": str(request.public_id), "kind": request.kind, "name": request.name, "state": request.state,
        "asked": f"{request.asked:f}", "granted": None if request.granted is None else f"{request.granted:f}",
        "valid_until": ends.isoformat() if ends else None, "by_rule": request.by_rule_id is not None,
        "reason": request.decision_reason,
    }  # fmt: skip
