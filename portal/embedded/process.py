"""One supervised server process with a folder of its own: start, stop, pause, kill, and never two on one folder."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psutil

PORTS = range(10_000, 22_000)  # below 22000 a Redis cluster bus (port + 10000) still fits under the ephemeral ports
PR_SET_PDEATHSIG = 1


class EmbeddedError(RuntimeError):
    """A private server cannot run; the text is one sentence that says what to do."""


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """True when a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def hold_port(port: int, host: str = "127.0.0.1") -> socket.socket | None:
    """Keep the port for a server of this user that binds with SO_REUSEPORT, as granian does; None when somebody has it already.

    Such servers listen side by side without a word when two take the same port, each answering a part of the callers. While the socket is
    open, nobody who asks for the port without SO_REUSEPORT gets it. It never listens, so no caller ever reaches it.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of a server that has ended do not count
    try:
        held.bind((host, port))
    except OSError:
        held.close()
        return None
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)  # from here on nobody else gets it …
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # … but the server that it is for
    return held


def free_port(preferred: int | None = None) -> int:
    """`preferred` when it is free, else a random free port below 22000."""
    if preferred is not None and port_is_free(preferred):
        return preferred
    for port in random.SystemRandom().sample(PORTS, 200):
        if port_is_free(port):
            return port
    raise EmbeddedError("No free TCP port between 10000 and 22000 was found: stop some servers and try again.")


def die_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """A `preexec_fn` that has the kernel send `number` to the child when the thread that started it ends.

    Start children from the main thread, or they die with a helper thread. Only Linux has this; elsewhere None.
    """
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)  # loaded before the fork: the child may only call, not import
    parent = os.getpid()

    def set_signal() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # the parent died between fork and prctl
            os._exit(1)

    return set_signal


class Server(ABC):
    """A server process that owns `directory`. Not thread-safe; start it from the main thread."""

    name: str
    stop_signals: tuple[tuple[signal.Signals, float], ...]  # tried in order, each with its patience in seconds
    orphan_signal: signal.Signals  # what the kernel sends when we die first

    def __init__(
        self, directory: Path | str, *, durable: bool = True, port: int | None = None, password: str | None = None
    ) -> None:
        self.directory = Path(directory).absolute()
        self.durable = durable
        self._password = password
        self.port = port or 0
        self.process: subprocess.Popen[bytes] | None = None
        self._fixed_port = port is not None
        self._lock: IO[str] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where a client connects, with its password."""

    @abstractmethod
    def prepare(self) -> None:
        """Make or repair the folder before the process starts."""

    @abstractmethod
    def command(self) -> list[str]:
        """The command line for the present port."""

    @abstractmethod
    def answers(self) -> bool:
        """True when the server takes commands."""

    def leftover(self) -> psutil.Process | None:
        """The process of an earlier owner that still works on this folder, if any."""
        return None

    # -------------------------------------------------------------------------------------------------------- verbs

    def start(self) -> str:
        """Start and wait until it answers; returns the URL.

        Raises EmbeddedError when the folder is in use or cannot be used, or when the server does not come up.
        """
        if self.alive():
            return self.url
        self._take_folder()
        try:
            self._stop_leftover()
            self.prepare()
            self._launch()
        except BaseException:
            self._release_folder()
            raise
        return self.url

    def stop(self) -> None:
        """Stop cleanly (each signal has its patience, the last is SIGKILL) and give the folder free."""
        if self.process is not None and self.process.poll() is None:
            self.resume()
            for number, patience in self.stop_signals:
                self.process.send_signal(number)
                try:
                    self.process.wait(patience)
                    break
                except subprocess.TimeoutExpired:
                    continue
        self.process = None
        self._release_folder()

    def restart(self) -> str:
        """Stop and start on the same port: clients with the old URL find it again."""
        self.stop()
        return self.start()

    def kill(self) -> None:
        """SIGKILL, as a crash would; `start()` recovers. Children of the server are left to notice by themselves."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
        self.process = None
        self._release_folder()

    def pause(self) -> None:
        """SIGSTOP the whole server: connections stay open and nothing answers."""
        for process in self._family():
            with contextlib.suppress(psutil.NoSuchProcess):  # ended since it was listed
                process.suspend()

    def resume(self) -> None:
        """Undo `pause()`."""
        for process in self._family():
            with contextlib.suppress(psutil.NoSuchProcess):  # ended since it was listed
                process.resume()

    def alive(self) -> bool:
        """True while the process runs (paused counts as running)."""
        return self.process is not None and self.process.poll() is None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # ------------------------------------------------------------------------------------------------------ helpers

    @property
    def log(self) -> Path:
        """The server's own output."""
        return self.directory / "log"

    @functools.cached_property
    def password(self) -> str:
        """The given one, else a random one, made once and kept in the folder, readable by its owner only."""
        if self._password:
            return self._password
        path = self.directory / "password"
        if not path.exists():
            write_private(path, secrets.token_urlsafe(24))
        return path.read_text().strip()

    def last_words(self) -> str:
        """The end of the log, for an error message."""
        try:
            lines = self.log.read_text(errors="replace").strip().splitlines()
        except OSError:
            return ""
        fatal = [line for line in lines if "FATAL" in line or "rror" in line]
        return (fatal or lines or [""])[-1].strip()

    def _family(self) -> list[psutil.Process]:
        if self.process is None or self.process.poll() is not None:
            return []
        try:
            leader = psutil.Process(self.process.pid)
            return [leader, *leader.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _take_folder(self) -> None:
        if self._lock is not None:
            return
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = (self.directory / "lock").open("a+")
        except OSError as error:
            raise EmbeddedError(
                f"{self.name} cannot write to {self.directory} ({error.strerror}): make that folder writable for you,"
                " or delete it."
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            lock.close()
            raise EmbeddedError(
                f"{self.name} in {self.directory} already runs under process {owner}: stop that one first, or choose"
                " another folder."
            ) from None
        lock.seek(0)
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def _release_folder(self) -> None:
        if self._lock is not None:
            self._lock.close()  # closing drops the flock
            self._lock = None

    def _stop_leftover(self) -> None:
        """End what a killed supervisor left behind: we hold the folder's lock, so it is nobody's."""
        for number, patience in self.stop_signals:
            process = self.leftover()
            if process is None:
                return
            try:
                process.resume()
                process.send_signal(number)
                process.wait(patience)
            except psutil.NoSuchProcess:
                return
            except psutil.TimeoutExpired:
                continue
            except psutil.AccessDenied:
                raise EmbeddedError(
                    f"{self.name} in {self.directory} still runs as process {process.pid} of another user: stop it first."
                ) from None

    def _launch(self) -> None:
        for attempt in range(3):
            if not (attempt == 0 and self.port and port_is_free(self.port)):
                if self._fixed_port and attempt == 0:
                    raise EmbeddedError(
                        f"Port {self.port}, wanted for {self.name}, is in use: stop the program that has it or choose"
                        " another port."
                    )
                self.port = free_port(None if attempt else self.port or None)
            self._spawn()
            if self._wait_until_it_answers():
                return
            if "in use" not in self.log.read_text(errors="replace"):
                break
        raise EmbeddedError(f"{self.name} did not start: {self.last_words()} (log: {self.log}).")

    def _spawn(self) -> None:
        with self.log.open("wb") as log:
            try:
                self.process = subprocess.Popen(
                    self.command(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self.directory,
                    start_new_session=True,  # a Ctrl-C in the terminal reaches the supervisor alone
                    preexec_fn=die_with_parent(self.orphan_signal),
                )
            except OSError as error:
                raise EmbeddedError(
                    f"{self.name} cannot be executed ({error}): reinstall with `rm -rf .venv && make setup`."
                ) from None

    def _wait_until_it_answers(self, seconds: float = 60) -> bool:
        deadline = time.monotonic() + seconds
        while self.alive() and time.monotonic() < deadline:
            if self.answers():
                return True
            time.sleep(0.01)
        if self.alive():
            self.stop()
        return False


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(text + "\n")
    scratch.replace(path)
