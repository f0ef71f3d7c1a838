"""The order in which the demo starts and stops, and what it tells."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from types import FrameType
from typing import Any

from portal import build_assets
from portal.demo.folder import DemoError, DemoFolder, process_environment
from portal.demo.mail import MailCatcher
from portal.demo.progress import say, step
from portal.demo.shape import database_shape
from portal.demo.supervisor import Child, Supervisor
from portal.embedded import PostgresServer, RedisServer, free_port, hold_port

WEB_PORT, DECISION_PORT = 8000, 8001
HOST = "127.0.0.1"
TENANT_FIELDS = ("slug", "tier", "api_key", "users")  # of demo.json; credentials.json also has the services' keys
WATCH_EVERY = 0.5  # seconds


class Stop(BaseException):
    """Somebody asked the demo to stop."""


class Demo:
    """One run, from the first line to the last process."""

    def __init__(self, folder: DemoFolder, *, traffic: bool = True) -> None:
        self.folder = folder
        self.with_traffic = traffic
        self.supervisor: Supervisor | None = None
        self.mail: MailCatcher | None = None
        self.held_ports: list[socket.socket] = []
        self.started = time.monotonic()

    def run(self) -> int:
        """Start everything, watch it, and stop it on Ctrl-C, SIGTERM or a closed terminal. Returns the exit status."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _raise_stop)
        self.folder.take()
        say("Aurelius Portal, demo")
        try:
            self._start()
            self._tell()
            assert self.supervisor is not None
            while True:
                time.sleep(WATCH_EVERY)
                self.supervisor.check()
        except Stop:
            say("\nStopping …")
        finally:
            self._stop()
        return 0

    # -------------------------------------------------------------------------------------------------------- start

    def _start(self) -> None:
        self.web_port = self._port("PORTAL_PORT", WEB_PORT, "web server")
        self.decision_port = self._port(
            "PORTAL_DECISION_PORT",
            DECISION_PORT if self.web_port == WEB_PORT else self.web_port + 1,
            "decision endpoint",
        )
        self._build_assets()
        mail = MailCatcher(self.folder.mail, free_port())
        mail.start()
        self.mail = mail
        postgres = PostgresServer(self.folder.path / "postgres")
        redis = RedisServer(self.folder.path / "redis")
        self.supervisor = Supervisor(self.folder.logs, {}, say)
        for server in (postgres, redis):
            with step(f"Starting {server.name}"):
                server.start()
            self.supervisor.servers.append(server)
        addresses = self._addresses(postgres, redis)
        self.supervisor.environment = process_environment(self.folder, addresses)
        self.folder.write_json(self.folder.environment_file, _handed_on(self.supervisor.environment, addresses))
        self._once("Preparing the database", "migrate", ["migrate", "--no-input"], database_shape())
        self._once("Loading demo data", "seed", ["seed_demo"], "done")
        self._start_processes(self.supervisor)
        self._write_description()

    def _port(self, variable: str, default: int, what: str) -> int:
        """Chosen and held: a second demo that is started in the minutes until the server listens takes another one."""
        port, held = _choose_port(variable, default, what)
        self.held_ports.append(held)
        return port

    def _build_assets(self) -> None:
        with step("Building the assets"):
            try:
                build_assets.build()
            except build_assets.BuildError as error:
                raise DemoError(str(error)) from None

    def _addresses(self, postgres: PostgresServer, redis: RedisServer) -> dict[str, str]:
        assert self.mail is not None
        return {
            "DATABASE_URL": postgres.url,
            "ENFORCEMENT_REDIS_URL": redis.url_for(0),
            "CACHE_REDIS_URL": redis.url_for(1),
            "CELERY_BROKER_URL": redis.url_for(2),
            "EMAIL_URL": f"smtp://{HOST}:{self.mail.port}",
            "SITE_URL": self.url,
            "DEMO_URL": self.url,
            "DEMO_DECISION_URL": self.decision_url,
        }

    def _once(self, text: str, name: str, arguments: list[str], state: str) -> None:
        """Run a management command unless it succeeded before on this folder for the same `state`."""
        assert self.supervisor is not None
        mark = self.folder.path / f".{name}"
        if mark.exists() and mark.read_text() == state:
            return
        with step(text, lambda: self.supervisor.last_words_of(name) if self.supervisor else ""):
            self.supervisor.run(name, [sys.executable, "manage.py", *arguments])
        mark.write_text(state)

    def _start_processes(self, supervisor: Supervisor) -> None:
        python = sys.executable
        granian = [python, "-m", "granian", "--host", HOST, "--workers", "1", "--no-ws", "--workers-kill-timeout", "5"]
        celery = [python, "-m", "celery", "--app", "portal"]
        web = Child(
            "web",
            [
                *granian,
                "--port",
                str(self.web_port),
                "--interface",
                "wsgi",
                "--blocking-threads",
                "4",
                "portal.wsgi:application",
            ],
            ready=lambda: _answers(f"{self.url}/healthz", {200}),
        )
        decision = Child(
            "decision",
            [*granian, "--port", str(self.decision_port), "--interface", "asginl", "--loop", "uvloop"]
            + ["tenants.enforcement.decision:app"],
            ready=lambda: _answers(self.decision_url, {200, 401}),
        )
        worker = Child(
            "worker",
            [*celery, "worker", "--pool", "threads", "--concurrency", "4", "--loglevel", "INFO"]
            + ["--without-gossip", "--without-mingle"],
        )
        beat = Child("beat", [*celery, "beat", "--loglevel", "INFO", "--max-interval", "2", "--pidfile", ""])
        with step("Starting web server, decision endpoint, worker and beat"):
            for child in (web, decision, worker, beat):
                supervisor.start(child)
            for child in (web, decision):
                supervisor.wait_until_ready(child)
        if self.with_traffic:
            supervisor.start(Child("traffic", [python, "manage.py", "demo_traffic"], patience=3))

    # --------------------------------------------------------------------------------------------------------- tell

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.web_port}"

    @property
    def decision_url(self) -> str:
        return f"http://{HOST}:{self.decision_port}/decide"

    def _credentials(self) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads(self.folder.credentials.read_text())
        except (OSError, ValueError):
            raise DemoError(
                f"{self.folder.credentials} is missing or damaged: start over with `make demo-reset`."
            ) from None
        return content

    def _write_description(self) -> None:
        known = self._credentials()
        self.folder.write_json(
            self.folder.description,
            {
                "url": self.url,
                "decision_url": self.decision_url,
                "operator": known["operator"],
                "tenants": [{name: tenant[name] for name in TENANT_FIELDS} for tenant in known["tenants"]],
            },
        )

    def _tell(self) -> None:
        known = json.loads(self.folder.description.read_text())
        operator, tenants = known["operator"], known["tenants"]
        say(f"\nRunning after {time.monotonic() - self.started:.1f} s:\n")
        rows = [
            ("Portal", f"{self.url}/"),
            ("Django admin", f"{self.url}/admin/"),
            ("API", f"{self.url}/api/v1/docs"),
            ("Decision endpoint", self.decision_url),
            ("Mails", f"{self.folder.mail / 'index.html'}"),
            ("Logs", f"{self.folder.logs}"),
            ("All of this as JSON", f"{self.folder.description}"),
        ]
        for name, value in rows:
            say(f"  {name:<20} {value}")
        say(f"\n  {'operator':<20} {operator['username']} / {operator['password']}")
        for tenant in tenants:
            say(f"  {tenant['slug']:<20} {tenant['tier']} tier, key {tenant['api_key']}")
            for user in tenant["users"]:
                say(f"    {user['role']:<18} {user['username']} / {user['password']}")
        if tenants:
            say(f"\n  Try: curl -i -H 'Authorization: Bearer {tenants[0]['api_key']}' {self.decision_url}")
        say("\n  Ctrl-C stops everything; the data stays. `make demo-reset` starts over.\n")

    # --------------------------------------------------------------------------------------------------------- stop

    def _stop(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        started = time.monotonic()
        if self.supervisor is not None:
            self.supervisor.stop()
        if self.mail is not None:
            self.mail.stop()
        for held in self.held_ports:
            held.close()
        self.folder.release()
        say(f"Stopped in {time.monotonic() - started:.1f} s.")


def _raise_stop(number: int, frame: FrameType | None) -> None:
    raise Stop


def _choose_port(variable: str, default: int, what: str) -> tuple[int, socket.socket]:
    """The wanted port when it is free, else another one, said aloud, and the socket that holds it. Raises DemoError for a wish that is no port."""
    wish = os.environ.get(variable, str(default))
    if not (wish.isascii() and wish.isdecimal()) or not 1 <= int(wish) <= 65535:
        raise DemoError(f"{variable}={wish!r} is no port: use a number from 1 to 65535.")
    port = int(wish)
    held, other = hold_port(port, HOST), port
    while held is None:
        other = free_port()
        held = hold_port(other, HOST)
    if other != port:
        say(f"  Port {port} is in use: the {what} takes {other} (choose with {variable}=…)")
    return other, held


def _answers(url: str, statuses: set[int]) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            status: int = response.status
    except urllib.error.HTTPError as error:
        status = error.code
    except OSError:
        return False
    return status in statuses


def _handed_on(environment: dict[str, str], addresses: dict[str, str]) -> dict[str, str]:
    """What `make shell` needs beside the person's own environment."""
    own = {name: value for name, value in environment.items() if os.environ.get(name) != value}
    return {**own, **addresses}
