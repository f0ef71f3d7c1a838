"""The operators' tokens: API credentials of platform staff. The text is returned once; only its digest is kept (texts.py)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from .. import audit
from ..enforcement.publishing.policy import publish_operators_after_commit
from ..models import OperatorToken, User
from ..models.membership import random_id
from ..problems import Denied
from . import texts


@dataclass(frozen=True)
class IssuedToken:
    """A new operator token and its text, which cannot be had again."""

    token: OperatorToken
    text: str


def create(user: User, *, name: str, actor: str, reason: str = "", expires_at: datetime | None = None) -> IssuedToken:
    """An API credential of a platform operator; it reaches every tenant. Raises Denied unless the user is active staff."""
    if not (user.is_active and user.is_staff):
        raise Denied("Only platform staff can hold operator tokens.")
    with audit.acting(actor, reason):
        token_id = random_id(16)
        text = texts.token_text(token_id)
        token = OperatorToken.objects.create(
            user=user,
            token_id=token_id,
            digest=texts.digest_of(text),
            name=texts.checked_name(name),
            expires_at=texts.checked_expiry(expires_at),
        )
        publish_operators_after_commit()
    return IssuedToken(token, text)


def revoke(token: OperatorToken, *, actor: str, reason: str = "") -> OperatorToken:
    """End an operator token at once. Revoking twice is no error."""
    with audit.acting(actor, reason):
        row = OperatorToken.objects.select_for_update(of=("self",)).get(pk=token.pk)
        if row.revoked_at is None:
            row.revoked_at = timezone.now()
            row.save(update_fields=["revoked_at"])
            publish_operators_after_commit()
    token.revoked_at = row.revoked_at
    return row
