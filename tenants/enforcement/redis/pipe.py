"""A connection to Redis for asyncio, one for a whole process, on which all calls of a loop tick leave in one write.

That is what makes the decision endpoint fast: the cost of a system call and of a wake-up is shared by all requests of the moment.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from typing import Any, cast

import hiredis

from ..errors import RedisUnavailableError
from ..protocol.resp import pack
from ..protocol.scripts import DECIDE
from ..protocol.wire import LATE
from .address import Address
from .handshake import Clock, Handshake

SECOND_LOOK = 0.001
MOST_UNSENT = 16
"""Calls that wait for the replies to those before them, so that one write serves them all; with so many they wait no longer."""


class Pipe(asyncio.Protocol):
    """A connection whose replies come back in the order of its commands. Once one is too late, all fail and it closes."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.clock = Clock()
        self.alive = False
        self.generation = b""
        self._tail = b""
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        self._waiting: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._unsent: list[bytes] = []
        self._on_the_way = 0
        self._watch: asyncio.TimerHandle | None = None
        self._looked_twice = False

    @classmethod
    async def open(cls, address: Address, timeout: float) -> Pipe:
        """Connect and shake hands within `timeout` seconds. Raises RedisUnavailableError."""
        loop = asyncio.get_running_loop()
        pipe = cls(timeout)
        try:
            async with asyncio.timeout(timeout):
                if address.path:
                    await loop.create_unix_connection(lambda: pipe, address.path)
                else:
                    tls = ssl.create_default_context() if address.tls else None
                    await loop.create_connection(lambda: pipe, address.host, address.port, ssl=tls)
                handshake = Handshake(address)
                replies = [await pipe.send(pack(words)) for words in handshake.commands]
        except TimeoutError as error:
            pipe.fail(RedisUnavailableError("timeout", "Redis did not answer in time"))
            raise RedisUnavailableError("timeout", "Redis did not answer in time") from error
        except OSError as error:
            raise RedisUnavailableError("refused", str(error)) from error
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                raise RedisUnavailableError.from_reply(str(reply))
        pipe.generation = handshake.read(replies, pipe.clock, time.monotonic())
        pipe._tail = b"$9\r\ng%s\r\n$13\r\n" % pipe.generation
        return pipe

    def send(self, command: bytes) -> asyncio.Future[Any]:
        """The reply to come. What is sent while replies are awaited goes out in one write when they are there."""
        future: asyncio.Future[Any] = self._loop.create_future()
        if not self.alive:
            future.set_exception(RedisUnavailableError("closed", "the connection is closed"))
            return future
        self._waiting.append((future, self._loop.time()))
        self._unsent.append(command)
        if len(self._unsent) == (1 if not self._on_the_way else MOST_UNSENT):
            self._loop.call_soon(self._write)
        if self._watch is None:
            self._watch = self._loop.call_later(self.timeout, self._look)
        return future

    def ask(self, command: bytes) -> asyncio.Future[Any]:
        """Send a call with its deadline. The reply to come is for `heard`, or for `insist` where `heard` has no use for it."""
        deadline = self.clock.deadline(time.monotonic(), self.timeout)
        return self.send(b"%s%s%d\r\n" % (command, self._tail, deadline))

    def heard(self, reply: Any) -> bool:
        """Is this a decision? Takes the time from it."""
        if type(reply) is bytes and reply[0] < LATE:
            self.clock.observe(int.from_bytes(reply[1:9], "big"), time.monotonic())
            return True
        return False

    async def decide(self, command: bytes) -> bytes:
        """As Connection.decide, without blocking."""
        return await self.insist(command, await self.ask(command))

    async def insist(self, command: bytes, reply: Any) -> bytes:
        """The packed reply, after loading the script where the server has lost it. Raises RedisUnavailableError."""
        if isinstance(reply, hiredis.ReplyError) and str(reply).startswith("NOSCRIPT"):
            await self.send(pack(("SCRIPT", "LOAD", DECIDE.source)))
            reply = await self.ask(command)
        if type(reply) is not bytes:
            raise RedisUnavailableError.from_reply(str(reply))
        self.clock.observe(int.from_bytes(reply[1:9], "big"), time.monotonic())
        return reply

    def fail(self, error: RedisUnavailableError) -> None:
        """Close, and give everybody who waits the error: a late reply must not be taken for another's."""
        self.alive = False
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        waiting, self._waiting = self._waiting, deque()
        for future, _ in waiting:
            if not future.done():
                future.set_exception(error)
        transport = getattr(self, "_transport", None)
        if transport is not None:
            transport.abort()

    # ------------------------------------------------------------------------------------- what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.alive = True

    def data_received(self, data: bytes) -> None:
        reader, waiting = self._reader, self._waiting
        reader.feed(data)
        reply = reader.gets()
        while reply is not False and waiting:
            future, _ = waiting.popleft()
            self._on_the_way -= 1
            if not future.done():
                future.set_result(reply)
            reply = reader.gets()
        if not self._on_the_way and self._unsent:
            self._write()

    def connection_lost(self, error: Exception | None) -> None:
        self.fail(RedisUnavailableError("closed", "Redis closed the connection"))

    def _write(self) -> None:
        commands, self._unsent = self._unsent, []
        if self.alive and commands:
            self._on_the_way += len(commands)
            self._transport.write(b"".join(commands))

    def _look(self) -> None:
        """Has the oldest call waited too long? Looked at from time to time instead of one timer a call."""
        self._watch = None
        if not self._waiting:
            return
        left = self._waiting[0][1] + self.timeout - self._loop.time()
        if left <= 0 and not self._looked_twice:
            # It may be this process that was held up, and the answer lies unread: the loop reads once more before we judge.
            self._looked_twice = True
            self._watch = self._loop.call_later(SECOND_LOOK, self._look)
            return
        self._looked_twice = False
        if left <= 0:
            self.fail(RedisUnavailableError("timeout", "Redis did not answer in time"))
        else:
            self._watch = self._loop.call_later(left, self._look)
