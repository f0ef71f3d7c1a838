"""HTTP POST to an address that a customer chose, without becoming the customer's hands inside our network.

The name is resolved once, every address it has must be a public one, and the connection goes to exactly the address that was checked.
Redirects are not followed, proxies of the environment are not used. The whole exchange has one deadline; at most 64 kB are read.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import httpcore

TOTAL_SECONDS = 10.0
MAX_BODY = 64 * 1024

NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))


class UnsafeUrlError(ValueError):
    """The URL, or an address behind its name, is not one that we send to. The message says why."""


class DeliveryError(RuntimeError):
    """The receiver could not be reached, or did not answer in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The receiver's status and the first 64 kB of its body."""

    status: int
    body: bytes


def check_url(url: str, *, allow_private: bool = False) -> SplitResult:
    """The parsed URL. Raises UnsafeUrlError unless it is https (http too with `allow_private`), with a host and without credentials."""
    if len(url) > 500 or any(ord(character) <= 32 or ord(character) == 127 for character in url):
        raise UnsafeUrlError("Use a URL of at most 500 characters without spaces.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UnsafeUrlError("This is not a URL.") from error
    if parts.scheme != "https" and not (allow_private and parts.scheme == "http"):
        raise UnsafeUrlError("Use an https:// URL.")
    if not parts.hostname or parts.username is not None or parts.password is not None or parts.fragment:
        raise UnsafeUrlError("Use a URL with a host name and without a user, a password or a #fragment.")
    if not allow_private and port not in (None, 443, 8443):
        raise UnsafeUrlError("Use port 443 or 8443.")
    return parts


def public_addresses(host: str, port: int, *, allow_private: bool = False) -> list[str]:
    """Every address of `host`. Raises UnsafeUrlError when one of them is private, loopback, link-local, multicast or reserved."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise DeliveryError(f"{host} has no address.") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        ip = ipaddress.ip_address(address.split("%")[0])
        if not allow_private and not all(each.is_global and not each.is_multicast for each in (ip, *_inner(ip))):
            raise UnsafeUrlError(f"{host} leads to {address}, which is not an address on the public internet.")
    return addresses


def _inner(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 address leads to: mapped, 6to4, Teredo, and NAT64 (RFC 6052, RFC 8215)."""
    if not isinstance(ip, ipaddress.IPv6Address):
        return []
    found = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
    if any(ip in network for network in NAT64):
        found.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    return [each for each in found if each is not None]


class _DeadlineStream(httpcore.NetworkStream):
    """A connection on which every read and write ends by one common deadline: a receiver that drips cannot hold us."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: float) -> None:
        self._inner = inner
        self._deadline = deadline

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("deadline")
        return left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._left())

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _DeadlineStream(self._inner.start_tls(ssl_context, server_hostname, self._left()), self._deadline)

    def get_extra_info(self, info: str) -> object:
        return self._inner.get_extra_info(info)


class _CheckedBackend(httpcore.SyncBackend):
    """Connects to the address that was checked, never to a second look-up of the name."""

    def __init__(self, deadline: float, *, allow_private: bool) -> None:
        self._deadline = deadline
        self._allow_private = allow_private

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[object] | None = None,
    ) -> httpcore.NetworkStream:
        address = public_addresses(host, port, allow_private=self._allow_private)[0]
        left = self._deadline - time.monotonic()
        return _DeadlineStream(super().connect_tcp(address, port, max(left, 0.01)), self._deadline)


def post(url: str, headers: Mapping[str, str], body: bytes, *, allow_private: bool = False) -> Answer:
    """POST `body`, within 10 s in all. Raises UnsafeUrlError or DeliveryError; any status is an Answer, redirects too.

    `allow_private` is for the demo and the tests, whose receivers are on this machine.
    """
    check_url(url, allow_private=allow_private)
    backend = _CheckedBackend(time.monotonic() + TOTAL_SECONDS, allow_private=allow_private)
    try:
        with (
            httpcore.ConnectionPool(network_backend=backend, ssl_context=ssl.create_default_context()) as pool,
            pool.stream("POST", url, headers=list(headers.items()), content=body) as response,
        ):
            received = bytearray()
            for chunk in response.iter_stream():
                received += chunk
                if len(received) >= MAX_BODY:
                    break
            return Answer(response.status, bytes(received[:MAX_BODY]))
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
        raise DeliveryError(str(error) or type(error).__name__) from error
