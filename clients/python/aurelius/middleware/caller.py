"""Who a request acts for, and how the application reports what the request used."""

from __future__ import annotations

import logging
from typing import Any

from ..decisions import Decision
from ..events import Events, Number
from ..spool import SpoolFullError

log = logging.getLogger("aurelius")
API_CALLS = "api_calls"


class Caller:
    """The verified caller of a request, as its key says and nothing else.

    In ASGI applications it is `scope["aurelius"]` (`request.scope["aurelius"]`), in WSGI ones `environ["aurelius"]`.
    """

    __slots__ = ("_events", "_labels", "decision", "key_id", "subject", "tenant")

    def __init__(self, decision: Decision, events: Events | None) -> None:
        self.decision = decision
        self.tenant = decision.tenant
        self.subject = decision.subject
        self.key_id = decision.key_id
        self._labels: dict[str, Any] | None = None
        self._events = events

    @property
    def labels(self) -> dict[str, Any]:
        """Dimensions of every event that this request reports, such as project; `user` is the subject unless you say otherwise."""
        if self._labels is None:
            self._labels = {}
        return self._labels

    def record(self, type: str, quantity: Number, *, id: str = "", **dimensions: Any) -> str:
        """Report what the request used, such as `record("gpu_seconds", 0.42, model="resnet50", project="mammography")`. Never waits.

        Calls themselves are counted by the decision: do not report them. Returns the event's id, "" when it could not be kept (a full
        spool: logged; the request goes on). Raises RuntimeError when the middleware has no `events`.
        """
        if self._events is None:
            raise RuntimeError("Give the middleware `events=Events(…)` to report usage.")
        found = {"user": self.subject, **(self._labels or {}), **dimensions}
        try:
            return self._events.send(type, quantity, id=id, tenant=self.tenant, **found)
        except (SpoolFullError, OSError) as error:
            log.error("usage of %s is not kept (%s %s): %s", self.tenant, quantity, type, error)
            return ""

    def __repr__(self) -> str:
        return f"<Caller {self.tenant}/{self.subject}>"


def admit(decision: Decision, events: Events | None, cost: int) -> Caller:
    """The caller of an allowed request. One that this process let through by itself is reported, so that it is billed all the same."""
    caller = Caller(decision, events)
    if decision.local and events is not None and cost:
        caller.record(API_CALLS, cost, admitted="locally")
    return caller
