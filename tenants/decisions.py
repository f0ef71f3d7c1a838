"""PURE: what a decision on a call says, and the status, header fields and body that tell it. Which limits hold is in limits.py.

Nothing here knows Django, Redis, settings or the clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from .limits import API_CALLS, WINDOWS


class WindowState(NamedTuple):
    """A window after the decision: calls left, and milliseconds until the oldest call leaves it."""

    name: str
    limit: int
    left: int
    resets_in_ms: int


@dataclass(slots=True)
class Decision:
    """May the call go ahead? `code` is "" when it may, else the problem code. Counted once and only when granted.

    Times: `now_ms` is Redis time in epoch milliseconds, `resets_at` (end of the quota's month) and `hour` (start of the billing
    hour, 0 when nothing is billed) are epoch seconds. `quota` is None when unlimited. `scopes` is the key's bit mask.
    """

    code: str
    now_ms: int = 0
    retry_after_ms: int = 0
    tenant_id: int = 0
    scopes: int = 0
    windows: tuple[WindowState, ...] = ()
    refused_by: str = ""
    used: int = 0
    quota: int | None = None
    resets_at: int = 0
    hour: int = 0
    generation: str = ""
    shadow: tuple[str, ...] = ()
    detail: str = ""
    local: bool = False
    """Decided by this process alone, because Redis was away."""

    @property
    def allowed(self) -> bool:
        return not self.code

    @property
    def retry_after(self) -> int:
        """Whole seconds to wait, at least 1."""
        return max(1, -(-self.retry_after_ms // 1000))

    def tightest(self) -> WindowState | None:
        """The window that refused, else the one with the fewest calls left; None when all are unlimited."""
        best = None
        for window in self.windows:
            if window.name == self.refused_by:
                return window._replace(resets_in_ms=self.retry_after_ms)
            if best is None or window.left < best.left:
                best = window
        return best


class Problem(NamedTuple):
    status: int
    title: str
    detail: str


PROBLEMS: dict[str, Problem] = {
    "invalid_key": Problem(401, "Invalid API key", "The API key is missing, malformed, unknown, revoked or expired."),
    "insufficient_scope": Problem(
        403, "Insufficient scope", "The API key does not have the scope that this call needs."
    ),
    "tenant_suspended": Problem(403, "Tenant suspended", "This tenant is suspended."),
    "tenant_closed": Problem(403, "Tenant closed", "This tenant is closed."),
    "budget_exhausted": Problem(402, "Budget exhausted", "The budget of this tenant is used up."),
    "rate_limit_exceeded": Problem(429, "Rate limit exceeded", "Rate limit exceeded."),
    "quota_exceeded": Problem(429, "Quota exceeded", "The monthly quota is used up."),
    "enforcement_unavailable": Problem(
        503, "Enforcement unavailable", "Limits cannot be checked right now. Try again shortly."
    ),
}
BLOCKED = Problem(403, "Calls refused", "Calls of this tenant are refused.")
PROBLEM_TYPE = "https://docs.aurelius.example/problems/"

HEADER_NAMES = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit-Policy", "RateLimit")


def http_status(decision: Decision) -> int:
    """200 when granted, else the status of the problem."""
    return 200 if not decision.code else PROBLEMS.get(decision.code, BLOCKED).status


def header_values(decision: Decision) -> tuple[str, ...]:
    """Values for HEADER_NAMES, or () when nothing limits the call (or nothing is known, as for an invalid key).

    X-RateLimit-* describe the tightest window (the month where no window is limited). RateLimit and RateLimit-Policy follow
    draft-ietf-httpapi-ratelimit-headers-10: `"minute";r=59;t=60` (calls left, seconds until more), `"minute";q=60;w=60`.
    """
    windows = decision.windows
    now, quota = decision.now_ms, decision.quota
    if not windows and quota is None:
        return ()
    limits: list[str | int] = []
    told: list[int] = []
    for name, limit, left, resets in windows:  # hot: this is done for every answer
        limits.append(name)
        limits.append(limit)
        told.append(left)
        told.append(min(_SECONDS[name], (resets + 999) // 1000))
    tightest = decision.tightest()
    if tightest is not None:
        main = f"{tightest.limit}", f"{tightest.left}", f"{(now + tightest.resets_in_ms + 999) // 1000}"
    if quota is not None:
        left = quota - decision.used
        wait = decision.resets_at - now // 1000
        told.append(left if left > 0 else 0)
        told.append(wait if wait > 0 else 0)
        if tightest is None or decision.code == "quota_exceeded":
            main = f"{quota}", f"{told[-2]}", f"{decision.resets_at}"
    policy, form = _policy_and_form(quota, *limits)
    return (*main, policy, form % tuple(told))


_SECONDS = {name: window.seconds for name, window in WINDOWS.items()}


@lru_cache(maxsize=4096)
def _policy_and_form(quota: int | None, *limits: str | int) -> tuple[str, str]:
    """The RateLimit-Policy field, and the RateLimit field with %d for its numbers; `limits` are name, limit, name, limit …

    For instance `"minute";q=60;w=60, "month";q=1000000` and `"minute";r=%d;t=%d, "month";r=%d;t=%d`.
    """
    windows = list(zip(limits[::2], limits[1::2], strict=True))
    policy = [f'"{name}";q={limit};w={WINDOWS[str(name)].seconds}' for name, limit in windows]
    form = [f'"{name}";r=%d;t=%d' for name, _ in windows]
    if quota is not None:
        policy.append(f'"month";q={quota}')
        form.append('"month";r=%d;t=%d')
    return ", ".join(policy), ", ".join(form)


def headers(decision: Decision) -> list[tuple[str, str]]:
    """All header fields that tell the decision, Retry-After and WWW-Authenticate included where they belong."""
    fields = list(zip(HEADER_NAMES, header_values(decision), strict=False))
    if decision.code and decision.retry_after_ms:
        fields.append(("Retry-After", str(decision.retry_after)))
    if decision.code == "invalid_key":
        fields.append(("WWW-Authenticate", 'Bearer realm="api"'))
    return fields


def problem(decision: Decision, request_increase_url: str = "") -> dict[str, Any]:
    """The problem+json body (RFC 9457) of a refusal, with the members that the refusal's kind adds."""
    kind = PROBLEMS.get(decision.code, BLOCKED)
    wait = decision.retry_after
    body: dict[str, Any] = {"detail": decision.detail or kind.detail}
    if decision.code == "rate_limit_exceeded":
        window = next((each for each in decision.windows if each.name == decision.refused_by), None)
        body = {
            "detail": f"Rate limit exceeded. Try again in {wait} second{'' if wait == 1 else 's'}.",
            "window": decision.refused_by,
            "limit": window.limit if window else 0,
            "retry_after": wait,
        }
    elif decision.code == "quota_exceeded":
        resets_at = datetime.fromtimestamp(decision.resets_at, UTC).isoformat().replace("+00:00", "Z")
        body = {
            "detail": f"The monthly quota of {decision.quota:,} API calls is used up. It resets at {resets_at}.",
            "meter": API_CALLS,
            "used": decision.used,
            "limit": decision.quota,
            "resets_at": resets_at,
            "retry_after": wait,
            "request_increase_url": request_increase_url,
        }
    return body | {
        "type": PROBLEM_TYPE + decision.code,
        "title": kind.title,
        "status": kind.status,
        "code": decision.code,
    }
