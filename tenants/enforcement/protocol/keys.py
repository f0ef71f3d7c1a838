"""Every Redis key name, and what a presented API key says about itself. No Django, no Redis.

All keys of a tenant carry the hash tag `{slug}`: one tenant lives in one slot of a cluster, so that one script sees all of it.
"""

from __future__ import annotations

import hmac
import re
from typing import NamedTuple

PLATFORM = "platform"
"""Pseudo tenant of the operators (their tokens, sessions and anonymous callers); never a row, never listed to tenants."""

MAX_KEY_TEXT = 160
_KEY_TEXT = re.compile(
    rb"gpk_[a-z]{1,12}_(?P<slug>[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?)_(?P<id>[a-z2-7]{16})_[A-Za-z0-9_-]{43}\Z"
)
_OPERATOR_TEXT = re.compile(rb"gpo_[a-z]{1,12}_(?P<id>[a-z2-7]{16})_[A-Za-z0-9_-]{43}\Z")


class Credential(NamedTuple):
    """A well-formed API key: where its records live, and the digest that proves it. It is not verified yet."""

    slug: str
    key_id: str
    digest: bytes

    @property
    def subject(self) -> str:
        """Whose windows count: the member's, or the service key's own."""
        return self.key_id[:8]


def digest(text: bytes, pepper: bytes) -> bytes:
    """HMAC-SHA256 of the whole key text, 32 bytes; the hex form of it is what the database stores."""
    return hmac.digest(pepper, text, "sha256")


def parse(text: bytes, pepper: bytes) -> Credential | None:
    """The credential in `gpk_<env>_<slug>_<id>_<secret>` or, of an operator (tenant PLATFORM), in `gpo_<env>_<id>_<secret>`.

    None when malformed; the digest is computed either way.
    """
    proof = digest(text[:MAX_KEY_TEXT], pepper)
    if len(text) > MAX_KEY_TEXT:
        return None
    if match := _KEY_TEXT.match(text):
        return Credential(match["slug"].decode(), match["id"].decode(), proof)
    if match := _OPERATOR_TEXT.match(text):
        return Credential(PLATFORM, match["id"].decode(), proof)
    return None


def tenant_key(slug: str) -> str:
    """Hash: generations, policy and key records of a tenant."""
    return f"t:{{{slug}}}"


def user_key(slug: str, subject: str) -> str:
    """String: the sliding windows of one user."""
    return f"u:{{{slug}}}:{subject}"


def usage_key(slug: str) -> str:
    """Hash: what the tenant used this month, and the calls to bill."""
    return f"q:{{{slug}}}"


def reservations_key(slug: str) -> str:
    """Hash: what is reserved and not settled."""
    return f"r:{{{slug}}}"


def key_field(proof: bytes) -> bytes:
    """Field of a key in the tenant's hash. The digest is the name: whoever finds the field has the key."""
    return b"k" + proof


def month_field(period_key: str) -> str:
    """Field of the month's calls ('2026-11' → 'm|2611')."""
    return "m|" + month_tag(period_key)


def base_field(period_key: str) -> str:
    """Field of the calls that the ledger knew when this generation began; they are part of the month's calls."""
    return "b|" + month_tag(period_key)


def generation_field(server: bytes) -> bytes:
    """Field of the counting generation that began in this life of the server."""
    return b"g" + server


def count_field(hour: int, key_id: str, route_class: str, generation: str) -> bytes:
    """Field that counts calls to bill; see parse_count_field."""
    return b"c" + hour.to_bytes(4, "big") + f"{key_id}|{route_class}|{generation}".encode()


def parse_count_field(field: bytes) -> tuple[int, str, str, str] | None:
    """(hour in epoch seconds, key id, route class, counting generation) of a field that counts calls to bill; None for another."""
    if field[:1] != b"c":
        return None
    key_id, route_class, generation = field[5:].decode().split("|")
    return int.from_bytes(field[1:5], "big"), key_id, route_class, generation


def month_tag(period_key: str) -> str:
    """'2026-11' → '2611'."""
    return period_key[2:4] + period_key[5:7]
