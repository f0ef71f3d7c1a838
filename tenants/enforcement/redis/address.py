"""Where the enforcement Redis is."""

from __future__ import annotations

from typing import NamedTuple, Self
from urllib.parse import parse_qs, unquote, urlsplit


class Address(NamedTuple):
    """A server: a unix socket path, or host and port; with TLS, credentials and database number."""

    host: str = "127.0.0.1"
    port: int = 6379
    path: str = ""
    tls: bool = False
    username: str = ""
    password: str = ""
    database: int = 0

    @classmethod
    def parse_many(cls, url: str) -> list[Self]:
        """The nodes that redis+cluster://[user:password@]host:port,host:port… (or rediss+cluster://) names. Raises ValueError."""
        scheme, _, rest = url.partition("://")
        netloc = rest.partition("/")[0].partition("?")[0]
        login, at, nodes = netloc.rpartition("@")
        plain = scheme.removesuffix("+cluster")
        return [cls.parse(f"{plain}://{login}{at}{node}") for node in nodes.split(",") if node]

    @classmethod
    def parse(cls, url: str) -> Self:
        """From redis://[user:password@]host[:port][/db], rediss://… or unix:///path?db=n. Raises ValueError otherwise."""
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        username, password = unquote(parts.username or ""), unquote(parts.password or "")
        if parts.scheme == "unix":
            database = int(query.get("db", ["0"])[0])
            return cls(path=unquote(parts.path), username=username, password=password, database=database)
        if parts.scheme not in {"redis", "rediss"}:
            raise ValueError(f"A Redis URL starts with redis://, rediss:// or unix://, not {parts.scheme}://.")
        return cls(
            host=parts.hostname or "127.0.0.1",
            port=parts.port or 6379,
            tls=parts.scheme == "rediss",
            username=username,
            password=password,
            database=int(parts.path.strip("/") or query.get("db", ["0"])[0]),
        )
