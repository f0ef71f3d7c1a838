"""What is written on a credential: its text, the digest that is kept of it, and the name and expiry that people give.

Key text: `gpk_<env>_<slug>_<key id>_<secret>`; token text: `gpo_<env>_<token id>_<secret>`; enforcement reads both
(enforcement/protocol/keys.py). Only an HMAC of the whole text is kept.
"""

from __future__ import annotations

import secrets
from datetime import datetime

from django.conf import settings
from django.utils import timezone

from ..enforcement.protocol import keys
from ..problems import invalid


def key_text(slug: str, key_id: str) -> str:
    """A new text of a tenant's key, with a secret of 32 random bytes."""
    return f"gpk_{settings.API_KEY_ENV}_{slug}_{key_id}_{secrets.token_urlsafe(32)}"


def token_text(token_id: str) -> str:
    """A new text of an operator's token, with a secret of 32 random bytes."""
    return f"gpo_{settings.API_KEY_ENV}_{token_id}_{secrets.token_urlsafe(32)}"


def digest_of(text: str) -> str:
    """What is kept of a text: its HMAC under the installation's pepper, in hexadecimal."""
    return keys.digest(text.encode(), settings.API_KEY_PEPPER.encode()).hex()


def checked_name(name: str) -> str:
    """The name without spaces around it. Raises Invalid unless it has 1 to 80 characters."""
    name = name.strip()
    if not 1 <= len(name) <= 80:
        raise invalid("name", "Give it a name of 1 to 80 characters.", "length")
    return name


def checked_expiry(expires_at: datetime | None) -> datetime | None:
    """The aware instant as given; None: never. Raises Invalid when it has passed."""
    if expires_at is not None and expires_at <= timezone.now():
        raise invalid("expires_at", "This lies in the past.", "past")
    return expires_at
