"""Decisions over HTTP on asyncio: a pool of kept-alive connections with a parser for just what the endpoint says.

A general HTTP client spends more time on one question than the endpoint does on its answer; this one is a protocol of 100 lines.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from types import TracebackType

from ..decisions import Decision, DecisionUnavailableError, Fields, bearer
from .message import MAX_BODY, MAX_HEAD, Where, fields, understand


class _ClosedError(Exception):
    """The connection closed before a byte of the answer came."""


class _Connection(asyncio.Protocol):
    """One question at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Decision] | None = None
        self._data = b""
        self.open = False
        self.reusable = True

    def ask(self, question: bytes) -> asyncio.Future[Decision]:
        self._answer = self._loop.create_future()
        self._data = b""
        if self.open and self._transport is not None:
            self._transport.write(question)
        else:
            self._answer.set_exception(_ClosedError())
        return self._answer

    def close(self) -> None:
        self.open = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self.open = True

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None or answer.done():
            self.close()  # nobody asked: what comes now could be taken for the answer to the next question
            return
        self._data += data
        try:
            decision = self._parse()
        except (DecisionUnavailableError, ValueError) as error:
            if not isinstance(error, DecisionUnavailableError):
                error = DecisionUnavailableError(f"an answer that is no HTTP: {error}")
            if not self.reusable or self._data:
                self.close()
            answer.set_exception(error)
            return
        if decision is not None:
            answer.set_result(decision)

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        answer = self._answer
        if answer is not None and not answer.done():
            if self._data:
                answer.set_exception(DecisionUnavailableError("the connection broke within an answer"))
            else:
                answer.set_exception(_ClosedError())

    def _parse(self) -> Decision | None:
        """The decision once the answer is whole. Raises ValueError."""
        head, end, rest = self._data.partition(b"\r\n\r\n")
        if not end:
            if len(head) > MAX_HEAD:
                raise ValueError("its head does not end")
            return None
        lines = head.split(b"\r\n")
        version, status = lines[0].split(b" ", 2)[:2]
        if not version.startswith(b"HTTP/1."):
            raise ValueError("not HTTP/1")
        found: Fields = []
        length = -1
        for line in lines[1:]:
            name, colon, value = line.partition(b":")
            if not colon:
                raise ValueError("a field without a colon")
            name, value = name.lower(), value.strip()
            if name == b"content-length":
                length = int(value)
            elif name == b"transfer-encoding":
                raise ValueError("an answer in chunks")
            elif name == b"connection" and value.lower() == b"close":
                self.reusable = False
            found.append((name, value))
        if not 0 <= length <= MAX_BODY:
            raise ValueError("no fit length")
        if len(rest) < length:
            return None
        if len(rest) > length:
            self.reusable = False
        self._data = b""
        return understand(int(status), found, rest[:length])


class AsyncHttpDecider:
    """Asks the decision endpoint from one event loop. At most `pool` questions are on their way at a time; others wait."""

    def __init__(self, url: str, *, timeout: float = 0.5, pool: int = 64) -> None:
        """`timeout` in seconds is for a whole question, the wait for a connection included. Raises ValueError."""
        self._where = Where.parse(url)
        self._timeout = timeout
        self._pool = pool
        self._idle: deque[_Connection] = deque()
        self._turn: asyncio.Semaphore | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        host = self._where.host if ":" not in self._where.host else f"[{self._where.host}]"
        self._start = f"GET /decide HTTP/1.1\r\nHost: {host}\r\n".encode()
        self._tls = ssl.create_default_context() if self._where.tls else None

    async def consume(self, key: str, *, cost: int = 1, route_class: str = "", traceparent: str = "") -> Decision:
        """Decide a call of the key and count it when it is allowed. Raises DecisionUnavailableError."""
        return await self.decide(bearer(key), cost=cost, route_class=route_class, traceparent=traceparent)

    async def check(self, key: str, *, route_class: str = "", traceparent: str = "") -> Decision:
        """Look, and count nothing."""
        return await self.decide(bearer(key), cost=0, route_class=route_class, traceparent=traceparent)

    async def decide(
        self, authorization: str, *, cost: int = 1, route_class: str = "", traceparent: str = ""
    ) -> Decision:
        """See AsyncDecider."""
        sent = fields(authorization, cost, route_class, traceparent)
        question = self._start + "".join(f"{name}: {value}\r\n" for name, value in sent.items()).encode() + b"\r\n"
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # another loop's connections are of no use here
            self._loop, self._turn = loop, asyncio.Semaphore(self._pool)
            self._idle.clear()  # and not closed: in a forked child they are its parent's, whose loop polls them still
        try:
            return await asyncio.wait_for(self._in_turn(question), self._timeout)
        except (TimeoutError, asyncio.TimeoutError) as error:
            raise DecisionUnavailableError(f"no answer within {self._timeout} s") from error
        except OSError as error:
            raise DecisionUnavailableError(f"{type(error).__name__}: {error}") from error

    async def close(self) -> None:
        """Close the idle connections. Those of another event loop are dropped: they can only be closed on it."""
        while self._idle:
            connection = self._idle.pop()
            if self._loop is asyncio.get_running_loop():
                connection.close()

    async def __aenter__(self) -> AsyncHttpDecider:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _in_turn(self, question: bytes) -> Decision:
        assert self._turn is not None  # noqa: S101 - decide has made it
        async with self._turn:
            while self._idle:
                connection = self._idle.pop()
                if connection.open:
                    try:
                        return await self._ask(connection, question)
                    except _ClosedError:
                        break  # the server had closed an idle connection: nobody has read the question
            try:
                return await self._ask(await self._connect(), question)
            except _ClosedError as error:
                raise DecisionUnavailableError("the connection was closed without an answer") from error

    async def _ask(self, connection: _Connection, question: bytes) -> Decision:
        try:
            return await connection.ask(question)
        except asyncio.CancelledError:
            connection.close()  # its answer would be taken for the next question's
            raise
        finally:
            if connection.open:
                if connection.reusable:
                    self._idle.append(connection)
                else:
                    connection.close()

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        where = self._where
        if where.path:
            _, connection = await loop.create_unix_connection(lambda: _Connection(loop), where.path)
        else:
            _, connection = await loop.create_connection(
                lambda: _Connection(loop), where.host, where.port, ssl=self._tls
            )
        return connection
