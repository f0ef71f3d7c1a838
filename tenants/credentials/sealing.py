"""Secrets that must be read again: encrypted at rest under SECRET_KEY, each purpose with a key of its own."""

from __future__ import annotations

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

Unreadable = InvalidToken
"""Neither SECRET_KEY nor one of its fallbacks opens the text."""


def seal(purpose: str, text: str) -> str:
    """`text` encrypted; only `unseal` with the same purpose reads it."""
    return _cipher(purpose).encrypt(text.encode()).decode()


def unseal(purpose: str, sealed: str) -> str:
    """The text in clear. Raises Unreadable when SECRET_KEY and its fallbacks do not fit."""
    return _cipher(purpose).decrypt(sealed.encode()).decode()


def reseal(purpose: str, sealed: str) -> str:
    """The same text, sealed under SECRET_KEY alone: afterwards no fallback is needed to read it. Raises Unreadable."""
    return _cipher(purpose).rotate(sealed.encode()).decode()


def _cipher(purpose: str) -> MultiFernet:
    """One key per SECRET_KEY and fallback, so that SECRET_KEY can be rotated."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    digests = [hashlib.sha256(f"{purpose}:{key}".encode()).digest() for key in keys]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(digest)) for digest in digests])
