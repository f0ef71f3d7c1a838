"""What looks like a secret is struck out of spans and log lines, whatever let it get there. Uses the standard library alone."""

from __future__ import annotations

import functools
import re

STRUCK = "[redacted]"

_NAMES = r"[\w-]*(?:password|passwd|passphrase|secret|token|api[_-]?key|pepper|credential|private[_-]?key|cookie|sessionid|csrf\w*|signature)"
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # Our keys and operators' tokens keep what names them, and lose what opens doors.
    (re.compile(r"\b(gpk_[a-z0-9]+_[a-z0-9-]+_[a-z2-7]{16}_|gpo_[a-z0-9]+_[a-z0-9]+_)[\w-]{8,}"), rf"\1{STRUCK}"),
    (re.compile(r"\bwhsec_[\w+/=-]+"), STRUCK),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"), rf"\1 {STRUCK}"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), STRUCK),  # a JSON Web Token
    (re.compile(r"(\b[a-z][a-z0-9+.-]{1,30}://)[^\s/@:\"']*:[^\s/@\"']+@"), rf"\1{STRUCK}@"),  # user:password@ in a URL
    (re.compile(r"(/(?:reset/key|confirm-email|invitations?|join)/)[^/\s\"'?]+"), rf"\1{STRUCK}"),  # links in mails
    # name=value, name: value, "name": "value", also where quotes are escaped inside JSON
    (re.compile(rf"(?i)\b({_NAMES}\\?[\"']?\s*[=:]\s*\\\")(?:(?!\\\").)+"), rf"\1{STRUCK}"),
    (re.compile(rf"(?i)\b({_NAMES}[\"']?\s*[=:]\s*\")(?:[^\"\\]|\\.)+"), rf"\1{STRUCK}"),
    (re.compile(rf"(?i)\b({_NAMES}\\?[\"']?\s*[=:]\s*)(\\?')(?:[^'\\])+"), rf"\1\2{STRUCK}"),
    (re.compile(rf"(?i)\b({_NAMES}\s*[=:]\s*)(?![\"'\\\[%$]|null|None|true|false)[^\s,;&\"'}})\]]+"), rf"\1{STRUCK}"),
)
_HINT = re.compile(
    r"(?i)gp[ko]_|whsec_|bearer|basic |eyJ|://|/key/|/confirm-email/|/invitation|/join/|pass|secret|token|api[_-]?key"
    r"|pepper|credential|private|cookie|session|csrf|signature"
)


def scrub(text: str) -> str:
    """`text` without what looks like a key, a token, a password or a link that logs somebody in."""
    if not _HINT.search(text):
        return text
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


@functools.lru_cache(maxsize=2_048)
def scrub_again(text: str) -> str:
    """As `scrub`, for texts that come again and again, as statements and names of spans do: looking one through costs 50 µs."""
    return scrub(text)
