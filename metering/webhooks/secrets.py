"""Signing secrets: made here, stored encrypted, shown once."""

from __future__ import annotations

import base64
import hashlib
import secrets

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings


def new_secret() -> str:
    """A fresh `whsec_…` secret of 32 random bytes."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def seal(secret: str) -> str:
    """The secret encrypted under SECRET_KEY."""
    return _cipher().encrypt(secret.encode()).decode()


def unseal(sealed: str) -> str:
    """The secret in clear. Raises cryptography.fernet.InvalidToken when SECRET_KEY and its fallbacks do not fit."""
    return _cipher().decrypt(sealed.encode()).decode()


def _cipher() -> MultiFernet:
    """One cipher per SECRET_KEY and fallback, so that the key can be rotated; bound to this purpose by the label."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet(
        [Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"webhook-secret:" + key.encode()).digest())) for key in keys]
    )
