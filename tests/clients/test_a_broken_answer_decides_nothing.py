"""What does not come from a healthy decision endpoint is no decision, and spoils no later one."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Awaitable, Callable

import pytest
from aurelius import AsyncHttpDecider, DecisionUnavailableError, HttpDecider

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
ALLOWED = b"HTTP/1.1 200 OK\r\nX-Portal-Tenant: acme\r\nX-RateLimit-Limit: 9\r\nContent-Length: 0\r\n\r\n"


def ask(serve: Serve, *, times: int = 1, timeout: float = 30.0) -> list[object]:
    """What so many questions in turn get: decisions or errors."""

    async def run() -> list[object]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        found: list[object] = []
        async with AsyncHttpDecider(f"http://127.0.0.1:{port}", timeout=timeout) as decider:
            for _ in range(times):
                try:
                    found.append((await decider.consume("key")).tenant)
                except DecisionUnavailableError as error:
                    found.append(error)
        server.close()
        return found

    return asyncio.run(run())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",  # some other service: no tenant
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Portal-Tenant: acme\r\n\r\n",  # no length
        b"HTTP/1.1 200 OK\r\nX-Portal-Tenant: acme\r\nContent-Length: 99999999\r\n\r\n",
    ],
)
def test_it_is_an_error(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        await reader.read()
        writer.close()

    assert isinstance(ask(serve)[0], DecisionUnavailableError)


def test_a_connection_that_was_closed_while_idle_is_replaced() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ALLOWED)
        await writer.drain()
        writer.close()

    assert ask(serve, times=5) == ["acme"] * 5


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_ones() -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        first = connections == 1
        await reader.readuntil(b"\r\n\r\n")
        if first:
            await reader.read()  # until the client has given up
            writer.write(ALLOWED.replace(b"acme", b"late"))
        else:
            writer.write(ALLOWED)
        writer.close()

    late, next_one = ask(serve, times=2, timeout=2.0)
    assert isinstance(late, DecisionUnavailableError)
    assert next_one == "acme"
    assert connections == 2


def test_an_answer_in_pieces_is_put_together() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for at in range(len(ALLOWED)):
            writer.write(ALLOWED[at : at + 1])
            await writer.drain()
        await reader.read()
        writer.close()

    assert ask(serve) == ["acme"]


def test_a_connection_that_breaks_within_an_answer_is_not_asked_again() -> None:
    """The call may be counted already: the second time it would count twice."""
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    here, _ = server.accept()
                except OSError:
                    return
                with here:
                    while question := here.recv(65_536):
                        asked.append(question)
                        if len(asked) == 1:
                            here.sendall(ALLOWED)  # and the connection is kept
                            continue
                        here.sendall(ALLOWED.replace(b"Length: 0", b"Length: 9") + b"b")
                        here.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
                        break

        threading.Thread(target=serve, daemon=True).start()
        with HttpDecider(f"http://127.0.0.1:{server.getsockname()[1]}", timeout=30) as decider:
            assert decider.consume("key").tenant == "acme"
            with pytest.raises(DecisionUnavailableError):
                decider.consume("key")
    assert len(asked) == 2
