"""The demo takes the wanted port; when it is in use, another one, and says so; a wish that is no port is refused."""

import socket

import pytest

from portal.demo.folder import DemoError
from portal.demo.run import _choose_port
from portal.embedded import free_port


def test_a_free_port_is_taken(monkeypatch):
    port = free_port()
    monkeypatch.setenv("PORTAL_PORT", str(port))
    assert _choose_port("PORTAL_PORT", 8000, "web server") == port


def test_a_port_in_use_is_replaced_and_told(monkeypatch, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("PORTAL_PORT", str(port))
        other = _choose_port("PORTAL_PORT", 8000, "web server")
    assert other != port
    assert f"Port {port} is in use: the web server takes {other}" in capsys.readouterr().out


@pytest.mark.parametrize("wish", ["http", "0", "70000", "-1", "８０００"])
def test_a_wish_that_is_no_port(monkeypatch, wish):
    monkeypatch.setenv("PORTAL_PORT", wish)
    with pytest.raises(DemoError, match="is no port: use a number from 1 to 65535"):
        _choose_port("PORTAL_PORT", 8000, "web server")
