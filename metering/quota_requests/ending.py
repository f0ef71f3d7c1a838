"""The end of grants: the override ends by itself; before that, people are told twice: 7 days and 1 day ahead, once each."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction

from metering import jobs
from metering.mail.quota_requests import grant_ends
from metering.quota_requests import telling, words
from metering.telling import notifications
from tenants.limiting import overrides, quota_requests
from tenants.models import QuotaRequest, QuotaRequestState, TenantState

MARKS = (7, 1)
"""Days before the end. A grant that is shorter than a mark is not warned at it: its beginning was told just then."""

log = logging.getLogger(__name__)


def warn_all(now: datetime) -> int:
    """Owe the warnings that are due at the aware instant `now`; how many requests were warned about. Once an hour, whoever beats.

    Each request is a transaction of its own; one that fails leaves the others alone and is tried again in the next hour.
    """
    warned = 0
    with jobs.once("warn of ending grants", f"{now:%Y-%m-%dT%H}", atomic=False) as claimed:
        if claimed is None:
            return 0
        for pk in _ending(now):
            try:
                warned += _warn(pk, now)
            except Exception:
                log.exception("quota_request.not_warned", extra={"request": pk})
        claimed.detail = {"warned": warned}
    return warned


def mark_due(request: QuotaRequest, now: datetime) -> int | None:
    """The mark (in days) that has been reached and was not told yet."""
    ends = request.override.valid_until if request.override else None
    if ends is None or request.decided_at is None or ends <= now:
        return None
    for mark in sorted(MARKS):
        ahead = timedelta(days=mark)
        if ends - now <= ahead:
            told = request.warned_days is not None and request.warned_days <= mark
            return None if told or ends - request.decided_at <= ahead else mark
    return None


def _ending(now: datetime) -> list[int]:
    rows = QuotaRequest.objects.filter(
        state=QuotaRequestState.APPROVED,
        override__revoked_at__isnull=True,
        override__valid_until__gt=now,
        override__valid_until__lte=now + timedelta(days=max(MARKS)),
    ).exclude(tenant__state=TenantState.CLOSED)
    return list(rows.order_by("pk").values_list("pk", flat=True))


@transaction.atomic
def _warn(pk: int, now: datetime) -> bool:
    """Tell it and write it down together. Nothing is told while something else holds then anyway."""
    request = (
        QuotaRequest.objects.select_for_update(of=("self",))
        .select_related("tenant__tier", "override", "requested_by")
        .get(pk=pk)
    )
    mark, grant = mark_due(request, now), request.override
    if mark is None or grant is None or grant.valid_until is None:
        return False
    tenant, kind, name = request.tenant, request.kind, request.name
    in_force = overrides.in_force(tenant, kind, name, now)
    after = quota_requests.present(tenant, kind, name, grant.valid_until)
    higher = after is not None and (after.limit is None or (request.granted or 0) <= after.limit)
    request.warned_days = mark
    request.save(update_fields=["warned_days"])
    if in_force is None or in_force.pk != grant.pk or higher:
        return False
    asker, managers = telling.people(request)
    letter = grant_ends(
        telling.facts_of(request),
        after=words.amount(kind, name, after.limit) if after else words.amount(kind, name, request.limit_then),
        ends_at=grant.valid_until,
        now=now,
    )
    key = f"quota-grant-ends:{request.pk}:{mark}"
    notifications.owe(letter, key=key, recipients=[*asker, *managers], tenant=tenant, now=now)
    return True
