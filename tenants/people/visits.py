"""Visits: an operator sees a tenant's portal as one of its roles does, for half an hour, with a reason, and cannot change a thing.

Beginning and end are in the tenant's audit trail; that nothing is written meanwhile is the portal's business (`portal.visiting`).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import F

from tenants import audit
from tenants.access import Access, Forbidden
from tenants.models import Membership, Role, Tenant, User, Visit
from tenants.problems import invalid

LASTS = timedelta(minutes=30)
PERMISSION = "tenants.add_visit"


def begin(tenant: Tenant, role: Role, *, by: User, reason: str, now: datetime) -> Visit:
    """Start a visit; one that the operator has not ended is ended. Raises Forbidden without the permission, Invalid without a reason."""
    if not by.has_perm(PERMISSION):
        raise Forbidden("You need the permission to visit tenants. Ask a superuser.")
    if not reason.strip():
        raise invalid("reason", "Say why; the tenant will read it.", "required")
    with audit.acting(_actor(by), reason.strip()):
        for former in Visit.objects.filter(operator=by, ended_at__isnull=True):
            end(former, now)
        return Visit.objects.create(
            tenant=tenant, operator=by, role=role, reason=reason.strip()[:300], started_at=now, ends_at=now + LASTS
        )


def end(visit: Visit, now: datetime) -> None:
    """End it: now, or when its time was over. Idempotent."""
    if visit.ended_at is not None:
        return
    visit.ended_at = min(now, visit.ends_at)
    with audit.acting(_actor(visit.operator)):
        Visit.objects.filter(pk=visit.pk, ended_at__isnull=True).update(ended_at=visit.ended_at)


def end_overdue(now: datetime) -> int:
    """End those whose time is over, so that the trail says when; returns how many."""
    with audit.acting("system:visits"):
        return Visit.objects.filter(ended_at__isnull=True, ends_at__lte=now).update(ended_at=F("ends_at"))


def of(user: User, visit_id: int) -> Visit | None:
    """The user's own visit of that id, with its tenant; None for anybody else's, and once the permission is taken away."""
    visit = Visit.objects.select_related("tenant__tier", "operator").filter(pk=visit_id, operator=user).first()
    return visit if visit is not None and user.is_active and user.has_perm(PERMISSION) else None


def access_of(visit: Visit) -> Access:
    """What the visited role has, for looking. The membership is of no row: no key, no own usage belongs to it."""
    member = Membership(pk=0, tenant=visit.tenant, user=visit.operator, role=visit.role, subject="visit")
    return Access(visit.tenant, member, visiting=True)


def _actor(user: User) -> str:
    return f"operator:{user.username}"
