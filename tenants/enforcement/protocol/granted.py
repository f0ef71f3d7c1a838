"""A granted call as Redis told it, read only as far as somebody asks: nearly every call is one, and most need just the header fields."""

from __future__ import annotations

import re
import struct
from dataclasses import fields
from typing import Any, NamedTuple

from ...decisions import HEADER_NAMES, Decision, header_values
from .wire import REPLY, SHADOW_AT, parse_reply

Fields = list[tuple[bytes, bytes]]
NAMES = tuple(name.lower().encode() for name in HEADER_NAMES)
_LIMIT, _REMAINING, _RESET, _POLICY, _RATE = NAMES
_TOLD = frozenset(field.name for field in fields(Decision))
_BOOKING = struct.Struct(">9xQ31xIx8s")
_HOUR = slice(48, 52)
_NO_HOUR = bytes(4)
_LEFT = re.compile(rb"\br=\d+")
_MOST_POLICIES = 4_096
_policies: dict[tuple[int, int, int, int], bytes] = {}
"""The RateLimit-Policy of (quota, calls a minute, an hour, a day), all of them limited."""


class Countdown:
    """The header fields of the calls of a lease: from one to the next only what is left changes, by one in every window."""

    __slots__ = ("_limit", "_policy", "_rate", "_reset", "day", "hour", "left", "minute", "month")

    def __init__(self, fields: Fields, left: int, each: tuple[int, int, int, int]) -> None:
        """`fields` as of a first call, `left` what was free of the tightest window before it, `each` of minute, hour, day and month."""
        self._limit, _, self._reset, self._policy, (_, rate) = fields
        self._rate = _LEFT.sub(b"r=%d", rate.replace(b"%", b"%%"))
        self.left = left
        self.minute, self.hour, self.day, self.month = each

    def fields(self, taken: int) -> Fields:
        """The fields of the call with which `taken` have been made. Hot."""
        left = (self.minute - taken, self.hour - taken, self.day - taken, self.month - taken)
        return [
            self._limit,
            (_REMAINING, b"%d" % (self.left - taken)),
            self._reset,
            self._policy,
            (_RATE, self._rate % left),
        ]


class Booking(NamedTuple):
    """To which tenant, billing hour (epoch seconds, 0 when nothing is billed) and counting generation a call belongs."""

    tenant_id: int
    hour: int
    generation: str


class Granted(Decision):
    """The same as `parse_reply` makes of the reply, whose fields are there once one of them is read.

    The reply counted `asked` calls, of which `taken` have been made: fewer while a lease lasts, and so much more is still free.
    """

    __slots__ = ("asked", "reply", "taken")

    def __init__(self, reply: bytes, asked: int, taken: int) -> None:
        self.code = ""
        self.local = False
        self.reply = reply
        self.asked = asked
        self.taken = taken
        if not reply[SHADOW_AT]:
            self.shadow = ()

    def __getattr__(self, name: str) -> Any:
        """A field that is not there yet."""
        if name not in _TOLD:
            raise AttributeError(name)
        whole = parse_reply(self.reply, self.taken)
        whole.used = max(0, whole.used - (self.asked - self.taken))
        for each in _TOLD:
            setattr(self, each, getattr(whole, each))
        return getattr(whole, name)

    @property
    def is_billed(self) -> bool:
        """Does it belong to a billing hour?"""
        return self.reply[_HOUR] != _NO_HOUR

    def booking(self) -> Booking:
        """What the witness notes, read for itself."""
        tenant_id, hour, generation = _BOOKING.unpack_from(self.reply)
        return Booking(tenant_id, hour, generation.decode())

    def countdown(self) -> Countdown | None:
        """What the calls taken with this one are told; None where something is unlimited, or full already (a limit that only warns)."""
        (
            _, _, _, _, _, _, used, quota, _, _, _, _,
            minute, minute_left, _, an_hour, hour_left, _, day, day_left, _,
        ) = REPLY.unpack_from(self.reply)  # fmt: skip
        fields = Granted(self.reply, self.asked, 1).header_fields()
        month_left = quota - used + self.asked
        if (quota, minute, an_hour, day) not in _policies or used < self.asked:
            return None
        if min(minute_left, hour_left, day_left, month_left) < self.asked:
            return None
        return Countdown(fields, min(minute_left, hour_left, day_left), (minute_left, hour_left, day_left, month_left))

    def header_fields(self) -> Fields:
        """As `decisions.header_values` says them. Hot: where everything is limited, straight from the reply."""
        (
            _, now, _, _, _, _, used, quota, ends, _, _, _,
            minute, minute_left, minute_resets, an_hour, hour_left, hour_resets, day, day_left, day_resets,
        ) = REPLY.unpack_from(self.reply)  # fmt: skip
        policy = _policies.get((quota, minute, an_hour, day))
        if policy is None:
            return self._first_fields((quota, minute, an_hour, day))
        taken = self.taken
        minute_left = minute_left - taken if minute_left > taken else 0
        hour_left = hour_left - taken if hour_left > taken else 0
        day_left = day_left - taken if day_left > taken else 0
        limit, left, resets = minute, minute_left, minute_resets
        if hour_left < left:
            limit, left, resets = an_hour, hour_left, hour_resets
        if day_left < left:
            limit, left, resets = day, day_left, day_resets
        used -= self.asked - taken
        month_left = (quota - used if used > 0 else quota) if quota > used else 0
        wait = ends - now // 1000
        minute_wait, hour_wait, day_wait = (
            (minute_resets + 999) // 1000, (hour_resets + 999) // 1000, (day_resets + 999) // 1000,
        )  # fmt: skip
        rate = b'"minute";r=%d;t=%d, "hour";r=%d;t=%d, "day";r=%d;t=%d, "month";r=%d;t=%d' % (
            minute_left, minute_wait if minute_wait < 60 else 60,
            hour_left, hour_wait if hour_wait < 3_600 else 3_600,
            day_left, day_wait if day_wait < 86_400 else 86_400,
            month_left, wait if wait > 0 else 0,
        )  # fmt: skip
        return [
            (_LIMIT, str(limit).encode()),
            (_REMAINING, str(left).encode()),
            (_RESET, str((now + resets + 999) // 1000).encode()),
            (_POLICY, policy),
            (_RATE, rate),
        ]

    def _first_fields(self, limits: tuple[int, int, int, int]) -> Fields:
        """The fields of limits that are not in `_policies`, and never will be where something is unlimited."""
        values = header_values(self)
        if len(self.windows) == 3 and self.quota is not None:
            if len(_policies) >= _MOST_POLICIES:
                _policies.clear()
            _policies[limits] = values[3].encode()
        return [(name, value.encode()) for name, value in zip(NAMES, values, strict=False)]
