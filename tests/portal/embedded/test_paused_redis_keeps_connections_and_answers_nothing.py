"""`pause()` is the fault "Redis hangs": nothing is refused, nothing answers; `resume()` ends it."""

import socket

import pytest


def test_pause_and_resume(redis_server):
    with socket.create_connection(("127.0.0.1", redis_server.port), timeout=0.2) as connection:
        redis_server.pause()
        connection.sendall(b"PING\r\n")
        with pytest.raises(TimeoutError):
            connection.recv(100)
        redis_server.resume()
        connection.settimeout(5)
        assert connection.recv(100).startswith(b"-NOAUTH")
