"""The packed forms that Python and the Lua scripts share (big-endian). `lua/decide.lua` describes them in its header."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial

from ...decisions import Decision, WindowState
from ...limits import API_CALLS, MAX_WINDOW_LIMIT, WINDOW_NAMES, WINDOWS, Block, Segment
from .keys import month_field

FORMAT = 1
NONE = 2**48 - 1
"""Packed form of "unlimited"."""

GRANTED, OVER_WINDOW, OVER_QUOTA, REFUSED, UNKNOWN_KEY, EXPIRED_KEY, NO_SCOPE, LATE, NOT_BUILT, OUT_OF_DATE = range(
    1, 11
)

_TELLS_LIMITS = frozenset({GRANTED, OVER_WINDOW, OVER_QUOTA, REFUSED, NO_SCOPE})
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
REPLY = struct.Struct(">BQQHBQQQIIB8sIIIIIIIII")
SHADOW_AT = 52
"""Where the reply tells what would have been refused."""
_UNLIMITED_WINDOW = 2**32 - 1
_window: Callable[[tuple[str, int, int, int]], WindowState] = partial(
    tuple.__new__, WindowState
)  # as WindowState(*…), in a third of the time
_SCOPES_OF_WINDOWS = ("minute", "hour", "day", "month")

SCOPES = (
    "decide", "usage:write", "usage:read", "quota:read", "quota:write", "cost:read", "budget:read", "budget:write", "keys:read",
    "keys:write", "webhooks:read", "webhooks:write", "reserve",
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


def pack_key(tenant_id: int, expires_at: datetime | None, scopes: Iterable[str]) -> bytes:
    """What Redis knows of a key: its expiry (rounded down to the second), scopes and tenant."""
    expires = 0 if expires_at is None else max(1, int(expires_at.timestamp()))
    return expires.to_bytes(5, "big") + struct.pack(">H", scope_mask(scopes)) + _u48(tenant_id)


def pack_policy(version: int, segments: Sequence[Segment]) -> bytes:
    """A tenant's policy over time."""
    return b"".join([bytes([FORMAT]), _u48(version), *map(_pack_segment, segments)])


def policy_version(packed: bytes) -> int:
    """The publication number inside a packed policy."""
    return int.from_bytes(packed[1:7], "big")


def _pack_segment(segment: Segment) -> bytes:
    quota = segment.policy.quota(API_CALLS)
    windows = [segment.policy.window(name) for name in WINDOWS]
    shadow = sum(1 << bit for bit, limit in enumerate([*windows, quota]) if limit.shadow)
    refusal = _pack_refusal(segment.refusal)
    rest = b"".join(
        [
            month_field(segment.period.key).encode(),
            struct.pack(">IIB", _seconds(segment.period.start), _seconds(segment.period.end), shadow),
            _u48(_whole(quota.limit)),
            _u48(_whole(quota.cap)),
            struct.pack(">III", *(_calls(limit.limit) for limit in windows)),
            bytes([len(refusal)]),
            refusal,
        ]
    )
    return _u48(-(-int(segment.until.timestamp() * 1_000_000) // 1000)) + struct.pack(">H", len(rest)) + rest


def _calls(limit: Decimal | None) -> int:
    return _UNLIMITED_WINDOW if limit is None else min(int(limit), MAX_WINDOW_LIMIT)


def _pack_refusal(block: Block | None) -> bytes:
    if block is None:
        return b""
    until = 0 if block.until is None else _seconds(block.until)
    text = f"{until}\n{block.code}\n".encode()
    return text + block.detail.encode()[: 255 - len(text)].decode(errors="ignore").encode()


def parse_reply(reply: bytes, cost: int) -> Decision:
    """The decision that a packed reply of decide.lua tells; `cost` is what the call asked for."""
    status = reply[0]
    if status not in _TELLS_LIMITS:
        return Decision(_CODES[status], int.from_bytes(reply[1:9], "big"))
    (
        _, now, tenant_id, scopes, refused_by, retry, used, quota, resets_at, hour, shadow, generation,
        minute, minute_free, minute_resets, an_hour, hour_free, hour_resets, day, day_free, day_resets,
    ) = REPLY.unpack_from(reply)  # fmt: skip
    taken = cost if status == GRANTED else 0
    windows = []
    if minute != _UNLIMITED_WINDOW:
        left = minute_free - taken if minute_free > taken else 0
        windows.append(_window(("minute", minute, left, minute_resets)))
    if an_hour != _UNLIMITED_WINDOW:
        left = hour_free - taken if hour_free > taken else 0
        windows.append(_window(("hour", an_hour, left, hour_resets)))
    if day != _UNLIMITED_WINDOW:
        left = day_free - taken if day_free > taken else 0
        windows.append(_window(("day", day, left, day_resets)))
    decision = Decision(
        _CODES.get(status, ""),
        now,
        retry,
        tenant_id,
        scopes,
        tuple(windows),
        WINDOW_NAMES[refused_by] if refused_by else "",
        used,
        None if quota == NONE else quota,
        resets_at,
        hour,
        generation.decode(),
        _shadow_names(shadow) if shadow else (),
    )
    if status == REFUSED:
        until, decision.code, decision.detail = reply[REPLY.size :].decode().split("\n", 2)
        decision.retry_after_ms = max(1, int(until) * 1000 - now) if until != "0" else 0
    return decision


def _shadow_names(mask: int) -> tuple[str, ...]:
    return tuple(name for bit, name in enumerate(_SCOPES_OF_WINDOWS) if mask & 1 << bit)


def _u48(number: int) -> bytes:
    return number.to_bytes(6, "big")


def _whole(number: Decimal | None) -> int:
    return NONE if number is None else min(int(number), NONE - 1)


def _seconds(instant: datetime) -> int:
    return int(instant.timestamp())
