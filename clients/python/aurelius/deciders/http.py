"""Decisions over HTTP in blocking code: kept-alive connections, shared by threads."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections import deque
from types import TracebackType

from ..decisions import Decision, DecisionUnavailableError, bearer
from ..forking import begins_anew_in_a_child
from .message import MAX_BODY, Where, fields, understand


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class HttpDecider:
    """Asks the decision endpoint. Threads share it; each question takes a connection from the pool or opens one."""

    def __init__(self, url: str, *, timeout: float = 0.5, pool: int = 64) -> None:
        """`timeout` in seconds is for every step of a question; `pool` connections are kept open. Raises ValueError."""
        self._where = Where.parse(url)
        self._timeout = timeout
        self._idle: deque[http.client.HTTPConnection] = deque(maxlen=pool)
        self._tls = ssl.create_default_context() if self._where.tls else None
        begins_anew_in_a_child(self)

    def consume(self, key: str, *, cost: int = 1, route_class: str = "", traceparent: str = "") -> Decision:
        """Decide a call of the key and count it when it is allowed. Raises DecisionUnavailableError."""
        return self.decide(bearer(key), cost=cost, route_class=route_class, traceparent=traceparent)

    def check(self, key: str, *, route_class: str = "", traceparent: str = "") -> Decision:
        """Look, and count nothing."""
        return self.decide(bearer(key), cost=0, route_class=route_class, traceparent=traceparent)

    def decide(self, authorization: str, *, cost: int = 1, route_class: str = "", traceparent: str = "") -> Decision:
        """See Decider."""
        sent = fields(authorization, cost, route_class, traceparent)
        try:
            connection, kept = self._idle.pop(), True
        except IndexError:
            connection, kept = self._new(), False
        try:
            try:
                return self._ask(connection, sent)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                connection.close()
                if not kept:
                    raise
                connection = self._new()  # the server had closed an idle connection: nobody has read the question
                return self._ask(connection, sent)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise DecisionUnavailableError(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    def after_fork(self) -> None:
        """In a child: its parent's connections would give it the answers to its parent's questions, and the other way round."""
        self.close()  # here alone: a socket that the parent has open, too, stays connected

    def __enter__(self) -> HttpDecider:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, connection: http.client.HTTPConnection, sent: dict[str, str]) -> Decision:
        connection.request("GET", "/decide", headers=sent)
        answer = connection.getresponse()
        try:
            body = answer.read(MAX_BODY)
        except ConnectionError as error:  # within an answer: the call may be counted, so it is not asked again
            raise http.client.HTTPException(f"the connection broke within an answer: {error}") from error
        found = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.getheaders()]
        if answer.isclosed() and not answer.will_close:
            if len(self._idle) == self._idle.maxlen:
                connection.close()
            else:
                self._idle.append(connection)
        else:
            connection.close()
        return understand(answer.status, found, body)

    def _new(self) -> http.client.HTTPConnection:
        where = self._where
        if where.path:
            return _UnixConnection(where.path, self._timeout)
        if self._tls:
            return http.client.HTTPSConnection(where.host, where.port, timeout=self._timeout, context=self._tls)
        return http.client.HTTPConnection(where.host, where.port, timeout=self._timeout)
