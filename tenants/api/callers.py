"""Who calls the API: a tenant's key, a platform operator, or a person with a browser session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..models import User


@dataclass(frozen=True)
class Caller:
    """The authenticated caller; DRF sees it as `request.user`.

    `id` names the caller in idempotency records, `actor` in the audit trail. `slug` is the only tenant that a key reaches; operators
    reach all (`may_change` says whether they may write), people those of which they are members.
    """

    kind: Literal["key", "operator", "person"]
    id: str
    actor: str
    slug: str | None = None
    scopes: frozenset[str] = frozenset()
    key_id: str = ""
    user: User | None = None
    may_change: bool = False

    is_authenticated = True

    @property
    def is_operator(self) -> bool:
        return self.kind == "operator"

    def __str__(self) -> str:
        return self.actor


def key_caller(slug: str, key_id: str, scopes: frozenset[str]) -> Caller:
    """A tenant's API key that enforcement has verified."""
    return Caller("key", f"key:{key_id}", f"key:{key_id}", slug=slug, scopes=scopes, key_id=key_id)


def staff_caller(user: User, *, token_id: str = "") -> Caller | None:
    """Platform staff, by operator token or session: operators may change tenants, support only looks. None for anybody else."""
    if not (user.is_active and user.is_staff and user.has_perm("tenants.view_tenant")):
        return None
    actor = f"token:{token_id} ({user.username})" if token_id else f"user:{user.username}"
    identity = f"token:{token_id}" if token_id else f"user:{user.pk}"
    return Caller(
        "operator", identity, actor, key_id=token_id, user=user, may_change=user.has_perm("tenants.change_tenant")
    )


def person_caller(user: User) -> Caller:
    """A signed-in member of tenants."""
    return Caller("person", f"user:{user.pk}", f"user:{user.username}", user=user)
