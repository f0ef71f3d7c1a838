"""Who a request acts for, and how the application reports what the request used."""

from __future__ import annotations

import logging
from typing import Any

from ..decisions import Decision
from ..events import Events, Label, Number
from ..spool import SpoolFullError

log: logging.Logger = logging.getLogger("aurelius")
API_CALLS = "api_calls"


class Caller:
    """The verified caller of a request, as its key says and nothing else.

    In ASGI applications it is `scope["aurelius"]` (`request.scope["aurelius"]`), in WSGI ones `environ["aurelius"]`.
    """

    __slots__ = ("_events", "_labels", "decision", "key_id", "subject", "tenant")

    def __init__(self, decision: Decision, events: Events | None) -> None:
        self.decision: Decision = decision
        self.tenant: str = decision.tenant
        self.subject: str = decision.subject
        self.key_id: str = decision.key_id
        self._labels: dict[str, Label] | None = None
        self._events = events

    @property
    def labels(self) -> dict[str, Label]:
        """Dimensions of every event that this request reports, such as project; `user` is the subject unless you say otherwise."""
        if self._labels is None:
            self._labels = {}
        return self._labels

    def record(self, type: str, quantity: Number, *, id: str = "", **dimensions: Label) -> str:
        """Report what the request used, such as `record("gpu_seconds", 0.42, model="resnet50", project="mammography")`. Never waits.

        Calls themselves are counted by the decision: do not report them. Returns the event's id, "" when it could not be kept (a full
        spool, a shutdown: logged; the request goes on). Raises what `Events.send` says of a call that is wrong, and RuntimeError when the
        middleware has no `events`.
        """
        if self._events is None:
            raise RuntimeError("Give the middleware `events=Events(…)` to report usage.")
        found: dict[str, Any] = {"user": self.subject, **(self._labels or {}), **dimensions}
        try:
            return self._events.send(type, quantity, id=id, tenant=self.tenant, **found)
        except (SpoolFullError, OSError, RuntimeError) as error:
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
