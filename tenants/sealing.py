"""Secrets that must be read again: encrypted at rest under SECRET_KEY, each purpose with a key of its own."""

from __future__ import annotations

import base64
import hashlib

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings


def seal(purpose: str, text: str) -> str:
    """`text` encrypted; only `unseal` with the same purpose reads it."""
    return _cipher(purpose).encrypt(text.encode()).decode()


def unseal(purpose: str, sealed: str) -> str:
    """The text in clear. Raises cryptography.fernet.InvalidToken when SECRET_KEY and its fallbacks do not fit."""
    return _cipher(purpose).decrypt(sealed.encode()).decode()


def _cipher(purpose: str) -> MultiFernet:
    """One key per SECRET_KEY and fallback, so that SECRET_KEY can be rotated."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    digests = [hashlib.sha256(f"{purpose}:{key}".encode()).digest() for key in keys]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(digest)) for digest in digests])
