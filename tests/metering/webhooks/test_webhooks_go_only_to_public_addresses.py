from __future__ import annotations

import socket

import pytest

from metering.webhooks import safe_http


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "https:///path",
        "https://user:word@example.com/",
        "https://example.com/#fragment",
        "https://example.com:22/",
        "https://example.com/a b",
        "https://example.com/\r\nX: y",
        "https://[::1",
        "https://example.com/" + "a" * 500,
        "file:///etc/passwd",
    ],
)
def test_a_url_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(safe_http.UnsafeUrlError):
        safe_http.check_url(url)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.1", "224.0.0.1", "::1", "fe80::1", "fc00::1",
     "::ffff:127.0.0.1", "2002:7f00:1::", "::ffff:169.254.169.254", "64:ff9b::a00:1", "64:ff9b:1::7f00:1"],
)  # fmt: skip
def test_a_name_that_leads_inside_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(family, socket.SOCK_STREAM, 6, "", (address, 443))])
    with pytest.raises(safe_http.UnsafeUrlError, match="not an address on the public internet"):
        safe_http.public_addresses("hooks.example.com", 443)


def test_one_inside_address_among_public_ones_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in ("93.184.216.34", "127.0.0.1")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    with pytest.raises(safe_http.UnsafeUrlError):
        safe_http.public_addresses("rebind.example.com", 443)


def test_the_checked_address_is_the_one_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second look-up that answers differently (DNS rebinding) changes nothing: there is no second look-up."""
    asked: list[str] = []
    connected: list[str] = []

    def look_up(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34" if len(asked) == 1 else "127.0.0.1", 443))]

    def connect(address: tuple[str, int], *_: object, **__: object) -> socket.socket:
        connected.append(address[0])
        raise OSError("no network here")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(safe_http.DeliveryError):
        safe_http.post("https://rebind.example.com/", {}, b"{}")
    assert asked == ["rebind.example.com"]
    assert connected == ["93.184.216.34"]
