"""The packed forms that Python and the Lua scripts share (big-endian). `lua/decide.lua` describes them in its header."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from ..limits import API_CALLS, MAX_WINDOW_LIMIT, WINDOW_NAMES, WINDOWS, Block, Decision, Segment, WindowState
from .keys import month_tag

FORMAT = 1
NONE = 2**48 - 1
"""Packed form of "unlimited"."""

GRANTED, OVER_WINDOW, OVER_QUOTA, REFUSED, UNKNOWN_KEY, EXPIRED_KEY, NO_SCOPE, LATE, NOT_BUILT, OUT_OF_DATE = range(
    1, 11
)

_CODES = {
    OVER_WINDOW: "rate_limit_exceeded",
    OVER_QUOTA: "quota_exceeded",
    UNKNOWN_KEY: "invalid_key",
    EXPIRED_KEY: "invalid_key",
    NO_SCOPE: "insufficient_scope",
    LATE: "enforcement_unavailable",
    NOT_BUILT: "enforcement_unavailable",
    OUT_OF_DATE: "enforcement_unavailable",
}
_HEAD = struct.Struct(">BQQHBQQQIIB8s")
_WINDOW = struct.Struct(">BIII")
_QUOTA_BIT = 128

SCOPES = (
    "decide", "usage:write", "usage:read", "quota:read", "quota:write", "cost:read", "budget:read", "budget:write", "keys:read",
    "keys:write",
)  # fmt: skip
_SCOPE_BITS = {scope: 1 << position for position, scope in enumerate(SCOPES)}


def scope_mask(scopes: Iterable[str]) -> int:
    """Bit mask of the scopes. Raises KeyError for an unknown one."""
    mask = 0
    for scope in scopes:
        mask |= _SCOPE_BITS[scope]
    return mask


def scope_names(mask: int) -> frozenset[str]:
    """The scopes in a bit mask."""
    return frozenset(scope for scope, bit in _SCOPE_BITS.items() if mask & bit)


def pack_key_record(digest: bytes, expires_at: datetime | None, scopes: Iterable[str]) -> bytes:
    """A key's record: its digest (32 bytes), expiry (rounded down to the second) and scopes."""
    expires = 0 if expires_at is None else max(1, int(expires_at.timestamp()))
    return digest + expires.to_bytes(5, "big") + struct.pack(">H", scope_mask(scopes))


def pack_policy(version: int, tenant_id: int, segments: Sequence[Segment]) -> bytes:
    """A tenant's policy over time."""
    return b"".join([bytes([FORMAT]), _u48(version), _u48(tenant_id), *map(_pack_segment, segments)])


def policy_version(packed: bytes) -> int:
    """The publication number inside a packed policy."""
    return int.from_bytes(packed[1:7], "big")


def _pack_segment(segment: Segment) -> bytes:
    quota = segment.policy.quota(API_CALLS)
    refusal = _pack_refusal(segment.refusal)
    rest = b"".join(
        [
            month_tag(segment.period.key).encode(),
            struct.pack(">II", _seconds(segment.period.start), _seconds(segment.period.end)),
            bytes([quota.shadow]),
            _u48(_whole(quota.limit)),
            _u48(_whole(quota.cap)),
            bytes([len(refusal)]),
            refusal,
            *_pack_windows(segment),
        ]
    )
    return _u48(-(-int(segment.until.timestamp() * 1_000_000) // 1000)) + struct.pack(">H", len(rest)) + rest


def _pack_windows(segment: Segment) -> Iterable[bytes]:
    for window in WINDOWS.values():
        limit = segment.policy.window(window.name)
        if limit.limit is not None:
            calls = min(int(limit.limit), MAX_WINDOW_LIMIT)
            yield struct.pack(">BBIIH", window.id, limit.shadow, calls, window.tick_ms, window.span)


def _pack_refusal(block: Block | None) -> bytes:
    if block is None:
        return b""
    until = 0 if block.until is None else _seconds(block.until)
    text = f"{until}\n{block.code}\n".encode()
    return text + block.detail.encode()[: 255 - len(text)].decode(errors="ignore").encode()


def parse_reply(reply: bytes, cost: int) -> Decision:
    """The decision that a packed reply of decide.lua tells; `cost` is what the call asked for."""
    status = reply[0]
    if status > OVER_QUOTA:
        return _parse_refusal(reply)
    _, now, tenant_id, scopes, refused_by, retry, used, quota, resets_at, hour, shadow, generation = _HEAD.unpack_from(
        reply
    )
    taken = cost if status == GRANTED else 0
    windows = tuple(
        [
            WindowState(WINDOW_NAMES[name], limit, free - taken if free > taken else 0, resets)
            for name, limit, free, resets in _WINDOW.iter_unpack(reply[_HEAD.size :])
        ]
    )
    return Decision(
        "" if status == GRANTED else _CODES[status],
        now,
        retry,
        tenant_id,
        scopes,
        windows,
        WINDOW_NAMES[refused_by] if refused_by else "",
        used,
        None if quota == NONE else quota,
        resets_at,
        hour,
        generation.decode(),
        _shadow_names(shadow) if shadow else (),
    )


def _parse_refusal(reply: bytes) -> Decision:
    now = int.from_bytes(reply[1:9], "big")
    if reply[0] != REFUSED:
        return Decision(_CODES[reply[0]], now)
    until, code, detail = reply[9:].decode().split("\n", 2)
    wait = max(1, int(until) * 1000 - now) if until != "0" else 0
    return Decision(code, now, wait, detail=detail)


def _shadow_names(mask: int) -> tuple[str, ...]:
    names = [name for number, name in WINDOW_NAMES.items() if mask & 1 << (number - 1)]
    return (*names, "month") if mask & _QUOTA_BIT else tuple(names)


def _u48(number: int) -> bytes:
    return number.to_bytes(6, "big")


def _whole(number: Decimal | None) -> int:
    return NONE if number is None else min(int(number), NONE - 1)


def _seconds(instant: datetime) -> int:
    return int(instant.timestamp())
