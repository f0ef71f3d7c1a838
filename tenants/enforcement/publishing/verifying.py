"""Verifying a key in PostgreSQL while Redis is away: what the Django door can do and the others cannot."""

from __future__ import annotations

import hmac
from typing import NamedTuple

from django.db import DatabaseError, InterfaceError
from django.db.models import Q
from django.utils import timezone

from ...models import ApiKey, OperatorToken, TenantBlock, TenantState
from ...models.block import BlockAction
from ..protocol.keys import PLATFORM, Credential
from ..protocol.wire import SCOPES, scope_mask


class Verified(NamedTuple):
    tenant_id: int
    scopes: int


def verify(credential: Credential) -> Verified | None:
    """The key's tenant and scopes when it is usable now, its tenant active and not blocked; None otherwise or without a database."""
    try:
        return _operator(credential) if credential.slug == PLATFORM else _tenant_key(credential)
    except (DatabaseError, InterfaceError):
        return None


def _tenant_key(credential: Credential) -> Verified | None:
    now = timezone.now()
    usable = ApiKey.objects.of_active_people().filter(
        Q(expires_at__isnull=True) | Q(expires_at__gt=now),
        tenant__slug=credential.slug,
        tenant__state=TenantState.ACTIVE,
        key_id=credential.key_id,
        revoked_at__isnull=True,
    )
    key = usable.only("digest", "scopes", "tenant_id").first()
    if key is None or not hmac.compare_digest(key.digest, credential.digest.hex()):
        return None
    if TenantBlock.objects.in_force(now).filter(tenant=key.tenant_id, action=BlockAction.BLOCK).exists():
        return None
    return Verified(key.tenant_id, scope_mask(key.scopes))


def _operator(credential: Credential) -> Verified | None:
    token = (
        OperatorToken.objects.filter(
            Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now()), revoked_at__isnull=True
        )
        .filter(token_id=credential.key_id, user__is_active=True, user__is_staff=True)
        .first()
    )
    if token is None or not hmac.compare_digest(token.digest, credential.digest.hex()):
        return None
    return Verified(0, scope_mask(SCOPES))
