"""What a user has left in their windows right now, as enforcement counts it."""

from __future__ import annotations

from ..decisions import WindowState
from ..enforcement.deciding.known import Known
from ..enforcement.engine import enforcer
from ..enforcement.errors import RedisUnavailableError
from ..enforcement.protocol.keys import Credential


def windows_of(slug: str, subject: str) -> dict[str, WindowState]:
    """The limited windows of a rate-limit subject (8 characters) by name, without counting a call.

    Empty when nothing limits the subject. Raises RedisUnavailableError.
    """
    known = Known(Credential(slug, subject + subject, b""), subject)
    decision = enforcer().decide(b"", known, cost=0, route_class="portal")
    if decision.code == "enforcement_unavailable" or decision.local:
        raise RedisUnavailableError("unavailable", "The live counters cannot be read.")
    return {window.name: window for window in decision.windows}
