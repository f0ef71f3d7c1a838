"""Child processes of the demo: started together, watched, restarted when they die, stopped together."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from portal.demo.folder import ROOT, DemoError
from portal.embedded.process import Server, die_with_parent

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0  # seconds before a restart, doubling
HEALTHY_AFTER = 30.0  # a child that lived this long has earned a fresh start of the pauses
CHECK = re.compile(r"\(\w+\.E\d+\)")
LARGEST_LOG = 10_000_000  # bytes
SILENCE = "it said nothing"
MANY_DEATHS = 5  # in a row: from then on only the log is told


@dataclass
class Child:
    """One process: `ready` says when it does its work; `patience` is how long it may take to stop; `environment` is its own, instead of the
    supervisor's."""

    name: str
    command: list[str]
    ready: Callable[[], bool] = lambda: True
    patience: float = 8.0
    environment: Mapping[str, str] | None = None
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    deaths: int = 0
    restart_at: float | None = field(default=None)

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None


class Supervisor:
    """Keeps children and servers running. One thread, the main one: children die with the thread that starts them."""

    def __init__(self, logs: Path, environment: Mapping[str, str], say: Callable[[str], None]) -> None:
        self.logs = logs
        self.environment = dict(environment)
        self.say = say
        self.children: list[Child] = []
        self.servers: list[Server] = []

    def log_of(self, child: Child) -> Path:
        return self.logs / f"{child.name}.log"

    def start(self, child: Child) -> None:
        """Start it and keep an eye on it from now on."""
        if child not in self.children:
            self.children.append(child)
            _rotate(self.log_of(child))
        self._spawn(child)

    def run(self, name: str, command: list[str]) -> None:
        """Run a command to its end. Raises DemoError with the last line of its log when it fails."""
        child = Child(name, command)
        self.start(child)
        assert child.process is not None
        try:
            status = child.process.wait()
        finally:
            if child.alive():
                self._end(child, signal.SIGKILL)
            self.children.remove(child)
        if status != 0:
            raise DemoError(f"{name} failed: {self.last_words(child)} (log: {self.log_of(child)}).")

    def wait_until_ready(self, child: Child, seconds: float = 60) -> None:
        """Raises DemoError when it ends or is not ready in time."""
        deadline = time.monotonic() + seconds
        while not child.ready():
            if not child.alive():
                raise DemoError(f"{child.name} did not start: {self.last_words(child)} (log: {self.log_of(child)}).")
            if time.monotonic() > deadline:
                raise DemoError(f"{child.name} does not answer after {seconds:.0f} s: look into {self.log_of(child)}.")
            time.sleep(0.05)

    def check(self) -> None:
        """Notice what died since the last call, say so, and start it again (after a growing pause)."""
        now = time.monotonic()
        for server in self.servers:
            if not server.alive():
                self.say(f"  {server.name} ended unexpectedly; starting it again")
                server.stop()
                server.start()
        for child in self.children:
            _cap(self.log_of(child))
            if child.restart_at is not None:
                if now >= child.restart_at:
                    self._spawn(child)
            elif not child.alive():
                self._bury(child, now)

    def stop(self) -> None:
        """SIGTERM to all children at once, SIGKILL to those who outlive their patience; then the servers, last first."""
        started = time.monotonic()
        for child in self.children:
            if child.alive():
                self._end(child, signal.SIGTERM)
        for child in self.children:
            if child.process is not None:
                try:
                    child.process.wait(max(0.1, child.patience - (time.monotonic() - started)))
                except subprocess.TimeoutExpired:
                    self.say(f"  {child.name} did not stop in {child.patience:.0f} s and is killed")
                self._end(child, signal.SIGKILL)  # and whatever it left in its group
                child.process.wait(5)
        self.children.clear()
        for server in reversed(self.servers):
            server.stop()
        self.servers.clear()

    def last_words(self, child: Child) -> str:
        """The last line of its log that names an error, else the last line."""
        try:
            lines = self.log_of(child).read_text(errors="replace").strip().splitlines()[-50:]
        except OSError:
            lines = []
        checks = [line for line in lines if CHECK.search(line)]  # one of Django's numbered findings says most
        errors = [line for line in lines if "Error" in line or "error:" in line.lower()] if not child.alive() else []
        return (checks or errors or lines or [SILENCE])[-1].strip()[:300]

    def last_words_of(self, name: str) -> str:
        """The same, by name; empty while it has said nothing."""
        child = next((child for child in self.children if child.name == name), None)
        words = self.last_words(child) if child else ""
        return "" if words == SILENCE else words

    # ------------------------------------------------------------------------------------------------------ helpers

    def _spawn(self, child: Child) -> None:
        child.restart_at, child.started = None, time.monotonic()
        with self.log_of(child).open("ab") as log:
            child.process = subprocess.Popen(
                child.command,
                cwd=ROOT,
                env=self.environment if child.environment is None else child.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # its own group: Ctrl-C reaches only us, and we can end all of it
                preexec_fn=die_with_parent(signal.SIGTERM),
            )

    def _bury(self, child: Child, now: float) -> None:
        assert child.process is not None
        self._end(child, signal.SIGKILL)  # its own children may still hold its port
        child.deaths = 1 if now - child.started > HEALTHY_AFTER else child.deaths + 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (child.deaths - 1))
        child.restart_at = now + pause
        if child.deaths <= MANY_DEATHS:
            self.say(f"  {child.name} {self._how_it_ended(child)}; starting it again in {pause:.1f} s")
        if child.deaths == MANY_DEATHS:
            self.say(f"  {child.name} keeps dying; further attempts go on quietly, see {self.log_of(child)}")

    def _how_it_ended(self, child: Child) -> str:
        assert child.process is not None
        status = child.process.returncode
        if status < 0:  # its log knows nothing of that
            return f"was killed by {signal.Signals(-status).name}"
        return f"ended with status {status}: {self.last_words(child)}"

    @staticmethod
    def _end(child: Child, number: signal.Signals) -> None:
        """A signal to the child's whole group."""
        assert child.process is not None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if number is signal.SIGKILL:
                os.killpg(child.process.pid, number)
            else:
                child.process.send_signal(number)


def _cap(path: Path) -> None:
    """A log that grew too large moves to `<name>.log.1`; children append, so that emptying the file is enough."""
    if path.exists() and path.stat().st_size > LARGEST_LOG:
        shutil.copyfile(path, path.with_name(path.name + ".1"))
        os.truncate(path, 0)


def _rotate(path: Path) -> None:
    """Keep the log of the run before as `<name>.log.1`."""
    if path.exists() and path.stat().st_size:
        path.replace(path.with_name(path.name + ".1"))
