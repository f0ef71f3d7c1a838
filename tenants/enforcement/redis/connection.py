"""Blocking connections to the enforcement Redis: one socket a thread, no retry, a hard time budget.

Much smaller than redis-py because the hot path pays for every microsecond; the reply parser (hiredis) is the same.
"""

from __future__ import annotations

import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

import hiredis

from ..errors import IdleConnectionError, RedisUnavailableError
from ..protocol.resp import Words, pack
from ..protocol.scripts import DECIDE, Script
from .address import Address
from .handshake import Clock, Handshake, login

_LOOK = int(socket.MSG_PEEK | socket.MSG_DONTWAIT)


class Connection:
    """One socket. After any failure it is closed: a late reply must never be taken for the next call's."""

    def __init__(self, address: Address, timeout: float) -> None:
        """Connect and shake hands within about `timeout` seconds. Raises RedisUnavailableError."""
        self.timeout = timeout
        self.alive = True
        self._can_peek = not address.tls
        self._reader = hiredis.Reader()
        self._socket = _open(address, timeout)
        self.clock = Clock()
        try:
            handshake = Handshake(address)
            replies = self.pipeline(handshake.commands)
            self.generation = handshake.read(replies, self.clock, time.monotonic())
        except BaseException:
            self.close()
            raise
        self._tail = b"$9\r\ng%s\r\n$13\r\n" % self.generation

    def decide(self, command: bytes) -> bytes:
        """Run the decide script; `command` is complete up to the generation. The reply is packed (see protocol/wire.py).

        Raises RedisUnavailableError; the call then had no effect, or has none if it still arrives (its deadline has passed).
        """
        started = time.monotonic()
        try:
            if self._can_peek:
                self._check_open()
            self._socket.sendall(b"%s%s%d\r\n" % (command, self._tail, self.clock.deadline(started, self.timeout)))
            reply = self._read()
        except RedisUnavailableError:
            self.close()
            raise
        except OSError as error:
            self.close()
            raise _unavailable(error) from error
        if type(reply) is bytes:
            self.clock.observe(int.from_bytes(reply[1:9], "big"), time.monotonic())
            return reply
        if str(reply).startswith("NOSCRIPT"):
            self.command("SCRIPT", "LOAD", DECIDE.source)
            return self.decide(command)
        self.close()
        raise RedisUnavailableError.from_reply(str(reply))

    def command(self, *words: str | bytes | int) -> Any:
        """Any command's reply (bytes, int, list or None). Raises RedisUnavailableError, also for an error reply."""
        return self.pipeline([words])[0]

    def script(self, script: Script, *keys_and_arguments: str | bytes | int) -> Any:
        """Run a script, loading it where the server does not know it."""
        reply = self._exchange([script.evalsha(*keys_and_arguments)])[0]
        if _is_noscript(reply):
            self.command("SCRIPT", "LOAD", script.source)
            return self.command(*script.evalsha(*keys_and_arguments))
        return _checked(reply)

    def scripts(self, script: Script, calls: Sequence[Words]) -> list[Any]:
        """A script with many keys and arguments, in one round trip. In place of the reply of a run that Redis refused stands a
        RedisUnavailableError: it had no effect. Raises one when it is not known what arrived."""
        replies = self._exchange([script.evalsha(*call) for call in calls])
        unknown = [index for index, reply in enumerate(replies) if _is_noscript(reply)]
        if unknown:
            self.command("SCRIPT", "LOAD", script.source)
            for index, reply in zip(
                unknown, self._exchange([script.evalsha(*calls[index]) for index in unknown]), strict=True
            ):
                replies[index] = reply
        return [
            RedisUnavailableError.from_reply(str(reply)) if isinstance(reply, hiredis.ReplyError) else reply
            for reply in replies
        ]

    def pipeline(self, commands: Sequence[Words]) -> list[Any]:
        """Many commands in one round trip. Raises RedisUnavailableError when one of them fails."""
        return [_checked(reply) for reply in self._exchange(commands)]

    def generation_of(self, slug: str) -> bytes:
        """The present life of the server that has the tenant: this one."""
        return self.generation

    def each(self, *words: str | bytes | int) -> list[Any]:
        """The replies of every server to a command: of this one."""
        return [self.command(*words)]

    def away(self) -> list[str]:
        """What is wrong with each server that does not answer: nothing, since this one was proved to work."""
        return []

    def groups(self, slugs: Iterable[str]) -> list[set[str]]:
        """The tenants by the server that has them."""
        return [set(slugs)]

    def close(self) -> None:
        self.alive = False
        self._socket.close()

    def _check_open(self) -> None:
        """Raise when the server closed the connection since the last call: then nothing is sent that could count twice."""
        try:
            if not self._socket.recv(1, _LOOK):
                raise IdleConnectionError("closed", "Redis closed the connection while it was idle")
        except BlockingIOError:
            pass

    def _exchange(self, commands: Sequence[Words]) -> list[Any]:
        try:
            self._socket.sendall(b"".join([pack(words) for words in commands]))
            return [self._read() for _ in commands]
        except OSError as error:
            self.close()
            raise _unavailable(error) from error
        except RedisUnavailableError:
            self.close()
            raise

    def _read(self) -> Any:
        reader, receive = self._reader, self._socket.recv
        reply = reader.gets()
        while reply is False:
            chunk = receive(65536)
            if not chunk:
                raise RedisUnavailableError("closed", "Redis closed the connection")
            reader.feed(chunk)
            reply = reader.gets()
        return reply


class Redis:
    """Connections to one server, one for each thread, made when needed. Safe to share and to fork."""

    def __init__(self, url: str, timeout: float) -> None:
        """`timeout` in seconds is the budget of connecting and of each reply."""
        self.url = url
        self.address = Address.parse(url)
        self.timeout = timeout
        self._local = threading.local()

    topology = None
    """A single server has none; see cluster.ClusterRedis."""

    def connection(self, slug: str = "") -> Connection:
        """This thread's connection, whatever the tenant. Raises RedisUnavailableError when none can be made."""
        found: Connection | None = getattr(self._local, "connection", None)
        if found is not None and found.alive and self._local.pid == os.getpid():
            return found
        self._local.connection = None  # a forked child must not share its parent's socket
        fresh = Connection(self.address, self.timeout)
        self._local.connection, self._local.pid = fresh, os.getpid()
        return fresh

    def usable(self) -> Connection:
        """As `connection`, but proved to work now: one that died while idle is replaced."""
        connection = self.connection()
        try:
            connection.command("PING")
        except RedisUnavailableError:
            connection = self.connection()
        return connection


def _is_noscript(reply: Any) -> bool:
    return isinstance(reply, hiredis.ReplyError) and str(reply).startswith("NOSCRIPT")


def ask_once(address: Address, timeout: float, words: Words) -> Any:
    """The reply of any server, a replica too, to one command, on a connection of its own. Raises RedisUnavailableError."""
    asked = [*login(address), words]
    reader = hiredis.Reader()
    replies: list[Any] = []
    try:
        with _open(address, timeout) as opened:
            opened.sendall(b"".join(pack(each) for each in asked))
            while len(replies) < len(asked):
                reply = reader.gets()
                if reply is not False:
                    replies.append(_checked(reply))
                elif chunk := opened.recv(65536):
                    reader.feed(chunk)
                else:
                    raise RedisUnavailableError("closed", "Redis closed the connection")
    except OSError as error:
        raise _unavailable(error) from error
    return replies[-1]


def _open(address: Address, timeout: float) -> socket.socket:
    try:
        if address.path:
            plain = socket.socket(socket.AF_UNIX)
            plain.settimeout(timeout)
            plain.connect(address.path)
        else:
            plain = socket.create_connection((address.host, address.port), timeout)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if address.tls:
            return ssl.create_default_context().wrap_socket(plain, server_hostname=address.host)
    except OSError as error:
        unavailable = _unavailable(error)
        place = address.path or f"{address.host}:{address.port}"
        raise RedisUnavailableError(unavailable.reason, f"{place}: {error}") from error
    # The kernel keeps the time: no poll() before each recv().
    plain.settimeout(None)
    limit = struct.pack("ll", int(timeout), int(timeout % 1 * 1_000_000))
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
    return plain


def _unavailable(error: OSError) -> RedisUnavailableError:
    if isinstance(error, BlockingIOError | TimeoutError):
        return RedisUnavailableError("timeout", "Redis did not answer in time")
    if isinstance(error, ConnectionRefusedError | FileNotFoundError):
        return RedisUnavailableError("refused", str(error))
    return RedisUnavailableError("closed", str(error))


def _checked(reply: Any) -> Any:
    if isinstance(reply, hiredis.ReplyError):
        raise RedisUnavailableError.from_reply(str(reply))
    return reply
