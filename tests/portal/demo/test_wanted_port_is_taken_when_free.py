"""The demo takes the wanted port; when it is in use, another one, and says so; a wish that is no port is refused."""

import socket

import pytest

from portal.demo.folder import DemoError
from portal.demo.run import _choose_port
from portal.embedded import free_port, hold_port


def test_a_free_port_is_taken(monkeypatch):
    port = free_port()
    monkeypatch.setenv("PORTAL_PORT", str(port))
    found, held = _choose_port("PORTAL_PORT", 8000, "web server")
    held.close()
    assert found == port


def test_a_port_in_use_is_replaced_and_told(monkeypatch, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("PORTAL_PORT", str(port))
        other, held = _choose_port("PORTAL_PORT", 8000, "web server")
        held.close()
    assert other != port
    assert f"Port {port} is in use: the web server takes {other}" in capsys.readouterr().out


@pytest.mark.parametrize("wish", ["http", "0", "70000", "-1", "８０００"])
def test_a_wish_that_is_no_port(monkeypatch, wish):
    monkeypatch.setenv("PORTAL_PORT", wish)
    with pytest.raises(DemoError, match="is no port: use a number from 1 to 65535"):
        _choose_port("PORTAL_PORT", 8000, "web server")


def test_two_demos_that_start_at_once_take_two_ports(monkeypatch):
    """Minutes lie between the choice and the server, and granian's SO_REUSEPORT lets two servers share a port in silence."""
    monkeypatch.setenv("PORTAL_PORT", str(free_port()))
    first, held = _choose_port("PORTAL_PORT", 8000, "web server")
    second, other = _choose_port("PORTAL_PORT", 8000, "web server")
    with held, other:
        assert first != second


def test_the_server_listens_on_a_port_that_is_held_and_gets_every_caller():
    port = free_port()
    with hold_port(port), socket.create_server(("127.0.0.1", port), reuse_port=True) as server:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port)):
                server.accept()[0].close()
        assert hold_port(port) is None
