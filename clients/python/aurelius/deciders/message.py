"""The HTTP that deciders speak with the decision endpoint: one small GET, one answer with a length."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from ..decisions import PROBLEM_JSON, TRACEPARENT, Decision, DecisionUnavailableError, Fields

MAX_HEAD = 32_768
MAX_BODY = 65_536
MAX_COST = 10_000
REFUSALS = frozenset({401, 402, 403, 429})
TOLD = (b"x-ratelimit-", b"ratelimit")
WITH_REFUSAL = (b"retry-after", b"www-authenticate")


class Where(NamedTuple):
    """The endpoint's address: a host and port, or the path of a unix socket."""

    host: str
    port: int
    path: str
    tls: bool

    @classmethod
    def parse(cls, url: str) -> Where:
        """http://decision:9000, https://…, or unix:///run/decision.sock. Raises ValueError."""
        parts = urlsplit(url)
        if parts.scheme == "unix" and parts.path:
            return cls("localhost", 0, unquote(parts.path), False)
        if parts.scheme in ("http", "https") and parts.hostname:
            tls = parts.scheme == "https"
            return cls(parts.hostname, parts.port or (443 if tls else 80), "", tls)
        raise ValueError(f"The decision endpoint's address is http://host:port or unix:///path, not {url!r}.")


def fields(authorization: str, cost: int, route_class: str, traceparent: str) -> dict[str, str]:
    """The header fields of a question. What could break out of its line is not sent: such a key is no key anyway.

    Raises ValueError for a cost that is out of bounds, or a class with other than visible characters.
    """
    if not isinstance(cost, int) or not 0 <= cost <= MAX_COST:
        raise ValueError(f"The cost is a whole number from 0 to {MAX_COST}.")
    if route_class and not (route_class.isascii() and route_class.isprintable()):
        raise ValueError("A route class is a short ASCII name.")
    sent = {}
    if authorization.isascii() and authorization.isprintable():
        sent["Authorization"] = authorization
    if cost != 1:
        sent["X-Cost"] = str(cost)
    if route_class:
        sent["X-Route-Class"] = route_class
    if traceparent and TRACEPARENT.fullmatch(traceparent):
        sent["traceparent"] = traceparent
    return sent


def understand(status: int, found: Fields, body: bytes) -> Decision:
    """The decision in an answer. Raises DecisionUnavailableError for one that decides nothing."""
    if status == 200:
        told: Fields = []
        tenant = subject = key_id = ""
        for name, value in found:
            if name.startswith(TOLD):
                told.append((name, value))
            elif name == b"x-portal-tenant":
                tenant = value.decode("latin-1")
            elif name == b"x-portal-subject":
                subject = value.decode("latin-1")
            elif name == b"x-portal-key":
                key_id = value.decode("latin-1")
        if not tenant:
            raise DecisionUnavailableError("the answer names no tenant: that is no decision endpoint")
        return Decision(200, told, b"", tenant, subject, key_id)
    if status not in REFUSALS:
        raise DecisionUnavailableError(f"the decision endpoint answered {status}")
    told = [pair for pair in found if pair[0].startswith(TOLD) or pair[0] in WITH_REFUSAL]
    return Decision(status, [*told, PROBLEM_JSON], body)
