"""A tenant's API keys. The text is returned once, by the function that makes it; only its digest is kept (texts.py)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Q
from django.utils import timezone

from .. import audit
from ..enforcement.publishing.policy import publish_after_commit
from ..models import ApiKey, Membership, Role, Tenant, User
from ..models.apikey import Scope
from ..models.membership import random_id
from ..problems import Conflict, Denied, invalid
from . import texts

ALL_SCOPES = frozenset(Scope.values)
_READING = frozenset({Scope.USAGE_READ, Scope.QUOTA_READ})
_MONEY = frozenset({Scope.COST_READ, Scope.BUDGET_READ, Scope.BUDGET_WRITE})
ROLE_SCOPES: dict[str, frozenset[str]] = {
    Role.OWNER: ALL_SCOPES,
    Role.ADMIN: ALL_SCOPES,
    Role.BILLING: frozenset({Scope.DECIDE, *_READING, *_MONEY}),
    Role.MEMBER: frozenset({Scope.DECIDE, Scope.RESERVE, Scope.QUOTA_WRITE, *_READING}),
    Role.VIEWER: _READING,
}
"""What a key of a person in that role may do at most. Usage is reported by the platform's services, so only owners and admins give that."""

PRESETS: dict[str, frozenset[str]] = {
    "service": frozenset({Scope.DECIDE, Scope.USAGE_WRITE, Scope.RESERVE}),
    "read": frozenset(scope for scope in Scope.values if scope.endswith(":read")),
    "admin": ALL_SCOPES,
}
OVERLAP = timedelta(hours=24)
"""How long a rotated key still works unless said otherwise."""
LONGEST_OVERLAP = timedelta(days=30)
MOST_KEYS = 200
"""Usable keys of one tenant at a time."""


@dataclass(frozen=True)
class IssuedKey:
    """A new key and its text, which cannot be had again."""

    key: ApiKey
    text: str


def allowed_scopes(by: Membership | None, held: Iterable[str] | None = None) -> frozenset[str]:
    """The scopes that a person in that role (None: an operator) may give, holding a key with the scopes `held` (None: no key)."""
    allowed = ALL_SCOPES if by is None else ROLE_SCOPES[by.role]
    return allowed if held is None else allowed & frozenset(held)


def create(
    tenant: Tenant,
    *,
    name: str,
    scopes: Iterable[str],
    by: Membership | None,
    actor: str,
    reason: str = "",
    member: Membership | None = None,
    expires_at: datetime | None = None,
    held: Iterable[str] | None = None,
    created_by: User | None = None,
) -> IssuedKey:
    """A new key of the tenant: of `member` (its calls count in that person's windows) or, without one, a service key of its own.

    `by` is who makes it: None for an operator or a key of the tenant (then `held` are that key's scopes). Members below admin make
    keys for themselves only; nobody gives scopes that they do not have. Raises Invalid, Denied or Conflict.
    """
    wanted = _scopes(scopes)
    with audit.acting(actor, reason):
        by = _fresh(by)
        member = _fresh(member)
        _authorize(tenant, by, member, wanted, held)
        _refuse_too_many(tenant, MOST_KEYS)
        subject = member.subject if member else _service_subject(tenant)
        issued = _issue(
            tenant, subject, member, texts.checked_name(name), wanted, texts.checked_expiry(expires_at), created_by
        )
        publish_after_commit(tenant.pk)
    return issued


def rotate(
    key: ApiKey,
    *,
    by: Membership | None,
    actor: str,
    reason: str = "",
    overlap: timedelta = OVERLAP,
    held: Iterable[str] | None = None,
    created_by: User | None = None,
) -> IssuedKey:
    """A successor with the same name, scopes, owner, expiry and rate-limit windows; the old key works for `overlap` more.

    Raises Invalid for an overlap outside 0…30 days, Conflict when the key is revoked or expired, Denied as `create` does.
    """
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise invalid("overlap_seconds", "Choose 0 seconds to 30 days.", "out_of_range")
    with audit.acting(actor, reason):
        now = timezone.now()
        old = (
            ApiKey.objects.select_for_update(of=("self",))
            .select_related("tenant", "membership")
            .get(pk=key.pk, tenant=key.tenant_id)
        )
        if not old.is_usable(now):
            raise Conflict("This key is revoked or expired. Make a new one.")
        _authorize(old.tenant, _fresh(by), old.membership, frozenset(old.scopes), held)
        _refuse_too_many(old.tenant, 2 * MOST_KEYS)  # all of them may be in their overlap
        issued = _issue(
            old.tenant, old.key_id[:8], old.membership, old.name, frozenset(old.scopes), old.expires_at, created_by
        )
        if overlap:
            old.expires_at = min(old.expires_at or now + overlap, now + overlap)
        else:
            old.revoked_at = now
        old.save(update_fields=["expires_at", "revoked_at"])
        publish_after_commit(old.tenant_id)
    return issued


def revoke(key: ApiKey, *, by: Membership | None, actor: str, reason: str = "") -> ApiKey:
    """End a key at once. Revoking twice is no error. Members below admin revoke their own keys only (Denied)."""
    with audit.acting(actor, reason):
        row = (
            ApiKey.objects.select_for_update(of=("self",))
            .select_related("membership")
            .get(pk=key.pk, tenant=key.tenant_id)
        )
        by = _fresh(by)
        if by is not None and by.role not in (Role.OWNER, Role.ADMIN) and row.membership_id != by.pk:
            raise Denied("You can revoke your own keys only.")
        if row.revoked_at is None:
            row.revoked_at = timezone.now()
            row.save(update_fields=["revoked_at"])
            publish_after_commit(row.tenant_id)
    key.revoked_at = row.revoked_at
    return row


def revoke_all_of(member: Membership, now: datetime) -> None:
    """Revoke every key of a member. The caller publishes."""
    ApiKey.objects.filter(tenant=member.tenant_id, membership=member, revoked_at__isnull=True).update(revoked_at=now)


def narrow_to_role(member: Membership) -> None:
    """Take from the member's keys what their present role does not allow; revoke those that keep nothing. The caller publishes."""
    allowed = ROLE_SCOPES[member.role]
    for key in (
        ApiKey.objects.select_for_update()
        .order_by("pk")
        .filter(tenant=member.tenant_id, membership=member, revoked_at__isnull=True)
    ):
        kept = [scope for scope in key.scopes if scope in allowed]
        if kept != key.scopes:
            key.scopes, key.revoked_at = kept, None if kept else timezone.now()
            key.save(update_fields=["scopes", "revoked_at"])


def mark_used(uses: Iterable[tuple[int, str]], at: datetime) -> int:
    """Note that keys, each as (tenant id, key id), were used at the aware instant `at`; returns how many rows changed.

    To the minute: a key that was marked in the last minute is left alone, and so is one that somebody is changing just now.
    """
    pairs = sorted(set(uses))
    if not pairs:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            _MARK_USED, {"at": at, "tenants": [pair[0] for pair in pairs], "keys": [pair[1] for pair in pairs]}
        )
        return cursor.rowcount


_MARK_USED = """
    UPDATE tenants_apikey SET last_used_at = %(at)s WHERE id IN (
        SELECT key.id FROM tenants_apikey key
        JOIN unnest(%(tenants)s::bigint[], %(keys)s::text[]) used (tenant_id, key_id)
          ON key.tenant_id = used.tenant_id AND key.key_id = used.key_id
        WHERE key.last_used_at IS NULL OR key.last_used_at < %(at)s::timestamptz - interval '1 minute'
        ORDER BY key.id FOR UPDATE OF key SKIP LOCKED
    )
"""


# ----------------------------------------------------------------------------------------------------------------- parts


def _issue(
    tenant: Tenant,
    subject: str,
    member: Membership | None,
    name: str,
    scopes: frozenset[str],
    expires_at: datetime | None,
    created_by: User | None,
) -> IssuedKey:
    key_id = subject + random_id(8)
    text = texts.key_text(tenant.slug, key_id)
    key = ApiKey.objects.create(
        tenant=tenant,
        membership=member,
        key_id=key_id,
        digest=texts.digest_of(text),
        name=name,
        scopes=[scope for scope in Scope.values if scope in scopes],
        expires_at=expires_at,
        created_by=created_by,
    )
    return IssuedKey(key, text)


def _authorize(
    tenant: Tenant, by: Membership | None, member: Membership | None, wanted: frozenset[str], held: Iterable[str] | None
) -> None:
    if member is not None and (member.tenant_id != tenant.pk or member.removed_at is not None):
        raise invalid("member", "There is no such member.", "unknown")
    if by is not None and by.role not in (Role.OWNER, Role.ADMIN) and (member is None or member.pk != by.pk):
        raise Denied("You can make keys for yourself only.")
    beyond = wanted - allowed_scopes(by, held)
    if beyond:
        raise Denied("You cannot give scopes that you do not have: " + ", ".join(sorted(beyond)) + ".")
    if member is not None and not wanted <= ROLE_SCOPES[member.role]:
        beyond = wanted - ROLE_SCOPES[member.role]
        raise invalid("scopes", "This member's role does not allow " + ", ".join(sorted(beyond)) + ".", "beyond_role")


def _fresh(membership: Membership | None) -> Membership | None:
    """The membership as it is now: a role is read when it is used. Raises Denied when it has ended."""
    if membership is None:
        return None
    row = Membership.objects.filter(pk=membership.pk, tenant=membership.tenant_id, removed_at__isnull=True).first()
    if row is None:
        raise Denied("This membership has ended.")
    return row


def _scopes(scopes: Iterable[str]) -> frozenset[str]:
    wanted = frozenset(scopes)
    if not wanted:
        raise invalid("scopes", "Give the key at least one scope.", "required")
    unknown = wanted - ALL_SCOPES
    if unknown:
        raise invalid("scopes", "These scopes do not exist: " + ", ".join(sorted(unknown)) + ".", "unknown")
    return wanted


def _refuse_too_many(tenant: Tenant, most: int) -> None:
    usable = Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now())
    if ApiKey.objects.filter(usable, tenant=tenant, revoked_at__isnull=True).count() >= most:
        raise Conflict(f"This tenant has {most} keys. Revoke one first.")


def _service_subject(tenant: Tenant) -> str:
    """A rate-limit identity that nobody of the tenant has."""
    while True:
        subject = random_id(8)
        taken = (
            Membership.objects.filter(tenant=tenant, subject=subject).exists()
            or ApiKey.objects.filter(tenant=tenant, key_id__startswith=subject).exists()
        )
        if not taken:
            return subject
