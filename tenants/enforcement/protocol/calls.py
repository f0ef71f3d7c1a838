"""A call to decide, written out once as the bytes that go to Redis."""

from __future__ import annotations

from typing import NamedTuple

from .keys import key_field, tenant_key, usage_key, user_key
from .resp import pack
from .scripts import DECIDE

MAX_COST = 10_000
LEASE = "~"


class Call(NamedTuple):
    """Who calls what, at which cost, and the command that decides it (complete but for generation and deadline).

    `counted_as` is the route class under which the call is billed, "" when it is neither quota-counted nor billed.
    """

    slug: str
    key_id: str
    route_class: str
    counted_as: str
    cost: int
    command: bytes


def build(
    slug: str,
    key_id: str,
    *,
    digest: bytes,
    subject: str = "",
    scopes: int = 0,
    cost: int = 1,
    route_class: str,
    metered: bool,
    lease: bool = False,
) -> Call:
    """A call of a key. An empty `digest` says that the caller has verified the credential itself.

    A `lease` is a call for `cost` calls to come: quota-counted now, billed by settle.lua as far as they were made.
    """
    suffix = (LEASE if lease else f"{key_id}|{route_class}") if metered else ""
    words = DECIDE.evalsha(
        tenant_key(slug),
        user_key(slug, subject or key_id[:8]),
        usage_key(slug),
        key_field(digest) if digest else b"",
        cost * 65_536 + scopes,
        suffix,
    )
    packed = pack(words)
    count, rest = packed.split(b"\r\n", 1)
    command = b"*%d\r\n%s" % (int(count[1:]) + 2, rest)  # generation and deadline follow when it is sent
    return Call(slug, key_id, route_class, route_class if metered and not lease else "", cost, command)
