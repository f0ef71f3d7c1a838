"""Requests for more: a tenant asks for a higher limit, an operator or a rule grants it as an override, or an operator says no.

A limit has at most one request that waits. What was decided stays decided: the same decision again changes nothing, another one is a
Conflict. Whoever wants to hear of it listens to `signals.quota_asked` and `signals.quota_decided`, in the transaction of the change.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction

from .. import audit, limits, signals
from ..models import GrantRule, LimitKind, Membership, Override, QuotaRequest, QuotaRequestState, Role, Tenant, User
from ..models.tenant import TenantState
from ..problems import Conflict, Denied, FieldError, Invalid, ProblemError, invalid
from . import overrides

ASKING = (Role.OWNER, Role.ADMIN, Role.MEMBER)
"""Who may ask. The platform's operators decide, so that asking costs nothing; billing and viewers look."""
LONGEST_BOOST = timedelta(days=366)
MOST_A_DAY = 20
"""Requests of one tenant within 24 hours: each is a mail to the operators."""
LONGEST_JUSTIFICATION = 2000
LONGEST_REASON = 250
_OF_THE_PLATFORM = {"reserved_gpus": "RESERVATION_MAX_GPUS", "reservation_hours": "RESERVATION_MAX_HOURS"}
"""Quotas that hold without being named by a tier, and the settings that say how high they are."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for: a window ("minute") and calls per user, or a meter and its display units; until an aware instant, or for good."""

    kind: str
    name: str
    asked: Decimal
    justification: str
    valid_until: datetime | None = None


def present(tenant: Tenant, kind: str, name: str, now: datetime) -> limits.EffectiveLimit | None:
    """The limit in force at `now`; None when there is no limit of that name."""
    named = [each for each in overrides.effective_policy(tenant, now).limits if (each.kind, each.name) == (kind, name)]
    if named:
        return named[0]
    return _of_the_platform(name) if kind == LimitKind.QUOTA and name in _OF_THE_PLATFORM else None


def raisable(tenant: Tenant, now: datetime) -> list[limits.EffectiveLimit]:
    """The limits for which more can be asked: all that are not unlimited, windows first."""
    found = {(each.kind, each.name): each for each in overrides.effective_policy(tenant, now).limits}
    for name in _OF_THE_PLATFORM:
        found.setdefault(("quota", name), _of_the_platform(name))
    return sorted((each for each in found.values() if each.limit is not None), key=_place)


def request(
    tenant: Tenant, wish: Wish, *, by: Membership | None, actor: str, user: User | None, now: datetime
) -> QuotaRequest:
    """Ask for more. `by` is the member who asks, None for an operator or a key of the tenant itself; `user` is told what is decided.

    The same wish again, while it waits, is the same request. Raises ProblemError: Denied, Invalid, Conflict when another request
    for this limit waits, or tenant_suspended.
    """
    if by is not None and by.role not in ASKING:
        raise Denied("Owners, admins and members of this tenant ask for higher limits.")
    if tenant.state != TenantState.ACTIVE:
        raise ProblemError(f"tenant_{tenant.state}", tenant.state_reason)
    limit = _check(tenant, wish, now)
    with audit.acting(actor, "asked for more"):
        waiting = _waiting(tenant, wish)
        if waiting is None:
            _refuse_too_many(tenant, now)
            try:
                with transaction.atomic():
                    made = QuotaRequest.objects.create(
                        tenant=tenant,
                        kind=wish.kind,
                        name=wish.name,
                        asked=wish.asked,
                        limit_then=limit,
                        valid_until=wish.valid_until,
                        justification=wish.justification.strip(),
                        requested_by=user,
                    )
            except IntegrityError:  # somebody else asked in this moment
                waiting = _waiting(tenant, wish)
                if waiting is None:
                    raise
            else:
                signals.quota_asked.send(QuotaRequest, request=made, now=now)
                made.refresh_from_db()
                return made
        if _is_same(waiting, wish):
            return waiting
        raise Conflict(
            "A request for this limit waits already. Withdraw it to ask for something else.", id=str(waiting.public_id)
        )


def withdraw(tenant: Tenant, public_id: UUID, *, by: Membership | None, actor: str, now: datetime) -> QuotaRequest:
    """Take a request back. Withdrawing again changes nothing; a decided one raises Conflict, a stranger's Denied.

    `by` as in `request`: owners and admins withdraw every request of the tenant, members their own.
    """
    with audit.acting(actor, "withdrawn"):
        row = _locked(tenant, public_id)
        if by is not None and by.role not in (Role.OWNER, Role.ADMIN) and row.requested_by_id != by.user_id:
            raise Denied("Only who has asked, and owners and admins, may withdraw this request.")
        if row.state == QuotaRequestState.PENDING:
            row.state, row.decided_at = QuotaRequestState.WITHDRAWN, now
            row.save(update_fields=["state", "decided_at"])
        return _decided_as(row, QuotaRequestState.WITHDRAWN)


def approve(
    tenant: Tenant,
    public_id: UUID,
    *,
    granted: Decimal | None,
    valid_until: datetime | None,
    reason: str = "",
    actor: str,
    decided_by: User | None,
    now: datetime,
    rule: GrantRule | None = None,
) -> QuotaRequest:
    """Grant what was asked (`granted` None) or a part of it, until an aware instant or for good (None). In force on the next call.

    The same grant again changes nothing. Raises Conflict when it was decided otherwise, Invalid for a part that is no more than the
    tenant has, more than it asked for, or an end that has passed.
    """
    with audit.acting(actor, reason or "approved"):
        row = _locked(tenant, public_id)
        amount = row.asked if granted is None else granted
        if row.state != QuotaRequestState.PENDING:
            ends = row.override.valid_until if row.override else None
            same = row.state == QuotaRequestState.APPROVED and (row.granted, ends) == (amount, valid_until)
            return row if same else _decided_as(row, None)
        if tenant.state == TenantState.CLOSED:
            raise Conflict("This tenant is closed.")
        _check_grant(row, amount, reason, now)
        before = overrides.in_force(tenant, row.kind, row.name, now)
        row.override = _grant(row, amount, valid_until, reason, before, actor, decided_by)
        row.state, row.granted, row.by_rule = QuotaRequestState.APPROVED, amount, rule
        return _decide(row, reason, decided_by, now)


def deny(
    tenant: Tenant, public_id: UUID, *, reason: str, actor: str, decided_by: User | None, now: datetime
) -> QuotaRequest:
    """Say no, and why; the requester reads it. Denying again changes nothing. Raises Conflict when it was decided otherwise."""
    if not reason.strip():
        raise invalid("reason", "Say why; the requester reads it.", "required")
    _check_reason(reason)
    with audit.acting(actor, reason):
        row = _locked(tenant, public_id)
        if row.state != QuotaRequestState.PENDING:
            return _decided_as(row, QuotaRequestState.DENIED)
        row.state = QuotaRequestState.DENIED
        return _decide(row, reason, decided_by, now)


def short_id(row: QuotaRequest) -> str:
    """'8e0f4c1a': how a request is called in sentences."""
    return str(row.public_id)[:8]


# ---------------------------------------------------------------------------------------------------------------- checks


def _check(tenant: Tenant, wish: Wish, now: datetime) -> Decimal:
    """The present limit. Raises Invalid unless the wish is for more of something limited, with a reason and an end that can be."""
    try:
        overrides.check(wish.kind, wish.name, wish.asked)
    except Invalid as problem:
        errors = [
            FieldError(each.pointer.replace("/limit", "/asked"), each.code, each.detail) for each in problem.errors
        ]
        raise Invalid(*errors) from None
    limit = present(tenant, wish.kind, wish.name, now)
    if limit is None:
        raise invalid("name", "There is no limit of that name.", "unknown")
    if limit.limit is None:
        raise invalid("name", "This is unlimited already.", "unlimited")
    if wish.asked <= limit.limit:
        raise invalid(
            "asked", f"The limit is {limit.limit.normalize():,f} already: ask for more than that.", "not_more"
        )
    text = wish.justification.strip()
    if not text:
        raise invalid("justification", "Say what it is for; who decides reads it.", "required")
    if len(text) > LONGEST_JUSTIFICATION:
        raise invalid("justification", f"Use at most {LONGEST_JUSTIFICATION} characters.", "length")
    if wish.valid_until is not None:
        if wish.valid_until <= now:
            raise invalid("valid_until", "This instant has passed: choose one that lies ahead.", "past")
        if wish.valid_until > now + LONGEST_BOOST:
            raise invalid("valid_until", "A boost lasts at most a year. Leave it out to ask for good.", "out_of_range")
    return limit.limit


def _check_grant(row: QuotaRequest, amount: Decimal, reason: str, now: datetime) -> None:
    if not amount.is_finite():
        raise invalid("granted", "Grant a number.", "out_of_range")
    if amount > row.asked:
        raise invalid("granted", "Grant at most what was asked for; set an override to give more.", "too_much")
    limit = present(row.tenant, row.kind, row.name, now)
    if limit is None or limit.limit is None:
        raise Conflict("This is unlimited by now: there is nothing left to grant. Deny the request and say so.")
    if amount <= limit.limit:
        raise invalid("granted", f"The limit is {limit.limit.normalize():,f} already: grant more, or deny.", "not_more")
    if amount < row.asked and not reason.strip():
        raise invalid("reason", "Say why only a part is granted; the requester reads it.", "required")
    _check_reason(reason)


def _check_reason(reason: str) -> None:
    if len(reason.strip()) > LONGEST_REASON:
        raise invalid("reason", f"Use at most {LONGEST_REASON} characters.", "length")


def _refuse_too_many(tenant: Tenant, now: datetime) -> None:
    lately = QuotaRequest.objects.filter(tenant=tenant, created_at__gt=now - timedelta(hours=24)).count()
    if lately >= MOST_A_DAY:
        raise Conflict(f"{MOST_A_DAY} requests within 24 hours are the most. Try again tomorrow.")


# ----------------------------------------------------------------------------------------------------------------- pieces


def _of_the_platform(name: str) -> limits.EffectiveLimit:
    return limits.EffectiveLimit("quota", name, Decimal(getattr(settings, _OF_THE_PLATFORM[name])))


def _place(limit: limits.EffectiveLimit) -> tuple[bool, int, str]:
    windows = list(limits.WINDOWS)
    is_window = limit.kind == LimitKind.RATE_LIMIT
    return (not is_window, windows.index(limit.name) if is_window else 0, limit.name)


def _waiting(tenant: Tenant, wish: Wish) -> QuotaRequest | None:
    rows = QuotaRequest.objects.filter(tenant=tenant, kind=wish.kind, name=wish.name, state=QuotaRequestState.PENDING)
    return rows.first()


def _is_same(row: QuotaRequest, wish: Wish) -> bool:
    return (row.asked, row.valid_until, row.justification) == (wish.asked, wish.valid_until, wish.justification.strip())


def _locked(tenant: Tenant, public_id: UUID) -> QuotaRequest:
    """The request, locked until the transaction ends. Raises ProblemError not_found."""
    rows = QuotaRequest.objects.select_for_update(of=("self",)).filter(tenant=tenant, public_id=public_id)
    row = rows.select_related("override", "requested_by").first()
    if row is None:
        raise ProblemError("not_found")
    row.tenant = tenant
    return row


def _decided_as(row: QuotaRequest, state: QuotaRequestState | None) -> QuotaRequest:
    if row.state != state:
        raise Conflict(f"This request has been decided: it is {row.state}.", state=row.state)
    return row


def _grant(
    row: QuotaRequest,
    amount: Decimal,
    valid_until: datetime | None,
    reason: str,
    before: Override | None,
    actor: str,
    decided_by: User | None,
) -> Override:
    """The override that holds now. How a quota acts (hard, soft) stays as it is."""
    try:
        return overrides.set_limit(
            row.tenant,
            row.kind,
            row.name,
            amount,
            mode=before.mode if before else "",
            reason=f"Request {short_id(row)}" + (f": {reason.strip()}" if reason.strip() else ""),
            valid_until=valid_until,
            actor=actor,
            created_by=decided_by,
        )
    except Invalid as problem:
        errors = [
            FieldError(each.pointer.replace("/limit", "/granted"), each.code, each.detail) for each in problem.errors
        ]
        raise Invalid(*errors) from None


def _decide(row: QuotaRequest, reason: str, decided_by: User | None, now: datetime) -> QuotaRequest:
    row.decided_by, row.decided_at, row.decision_reason = decided_by, now, reason.strip()
    row.save(update_fields=["state", "granted", "by_rule", "override", "decided_by", "decided_at", "decision_reason"])
    signals.quota_decided.send(QuotaRequest, request=row, now=now)
    return row
