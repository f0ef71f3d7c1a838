"""`make demo-platform`: the portal's demo with the four services, their worker and their queues' exporter in front of it.

    PYTHONPATH=.:infra/platform:clients/python python infra/platform/demo.py [--no-traffic] [--run COMMAND …]

`--run` starts everything, runs a command with PLATFORM_GATEWAY_URL and PLATFORM_LOGINS in its environment, stops, and ends with its
exit status: that is how the load tests run. Where a platform runs on this data already, the command runs on that. Data lies under PORTAL_DATA/platform; ports are 8100 to 8105 where they are free
(PLATFORM_PORT moves the first). PLATFORM_SLOW_MS delays the services: a fault switch for tests of thresholds.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import IO, Any

from aurelius import Client
from machine import HOST, answers, free_ports, to_its_end
from onboarding import METERS, onboard

from aurelius_platform.build import build
from aurelius_platform.config import SERVICES
from portal.demo.folder import DemoError, DemoFolder, hold
from portal.demo.progress import say, step
from portal.demo.supervisor import Child, Supervisor
from portal.embedded import EmbeddedError
from portal.embedded.process import write_private

ROOT = Path(__file__).resolve().parents[2]
PATHS = (
    ROOT / "infra" / "platform",
    ROOT / "clients" / "python",
)  # all that the services import: nothing of the portal
PORTAL_SECONDS = 900  # its first start makes and seeds a database
WATCH_EVERY = 0.5
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOPPED = 130  # the exit status of a command that was not let to its end


class Stop(BaseException):
    """Somebody asked the platform to stop."""


class Platform:
    """One run, from the first line to the last process."""

    def __init__(self, folder: DemoFolder, *, traffic: bool = True) -> None:
        self.folder, self.traffic = folder, traffic
        self.data = folder.path / "platform"
        self.supervisor = Supervisor(folder.logs, _portals_environment(os.environ), say)
        self.ports = free_ports()
        self.started = time.monotonic()
        self._lock: IO[str] | None = None

    @property
    def running(self) -> Path:
        """`running.json`: where the gateway of this data answers; it exists while it does."""
        return self.data / "running.json"

    def run(self, command: list[str]) -> int:
        """Start, then watch until told to stop, or run `command` to its end; the exit status. Raises DemoError."""
        for number in SIGNALS:
            signal.signal(number, _raise_stop)
        self.folder.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.logs.mkdir(exist_ok=True)
        self.data.mkdir(exist_ok=True, mode=0o700)
        if not self._take():
            return self._join(command)
        try:
            self._portal()
            self._platform()
            write_private(self.running, json.dumps({"gateway": self.url("gateway")}))
            self._tell()
            if command:
                return to_its_end(command, self._environment("load"))
            while True:
                time.sleep(WATCH_EVERY)
                self.supervisor.check()
                self._follow()
        except Stop:
            say("\nStopping …")
        finally:
            for number in SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            began = time.monotonic()
            self.running.unlink(missing_ok=True)
            self.supervisor.stop()
            say(f"The platform has stopped in {time.monotonic() - began:.1f} s.")
        return STOPPED if command else 0

    def _take(self) -> bool:
        """Lock the platform's folder; False when another platform has it."""
        self._lock = hold(self.data / "lock")
        return self._lock is not None

    def _join(self, command: list[str]) -> int:
        """Run `command` on the platform that has this folder. Raises DemoError when there is none to run, or it is not as asked for."""
        try:
            gateway = json.loads(self.running.read_text())["gateway"]
            with urllib.request.urlopen(f"{gateway}/healthz", timeout=5) as answer:  # noqa: S310 - our own address
                slow = str(json.loads(answer.read())["slow_ms"])
        except (OSError, ValueError):
            raise DemoError(
                f"A platform is starting or stopping on {self.folder.path}: try again in a moment."
            ) from None
        if not command:
            raise DemoError(f"A platform already runs on {self.folder.path}, at {gateway}: stop it with Ctrl-C where it runs, or set PORTAL_DATA to another folder.")  # fmt: skip
        if slow != os.environ.get("PLATFORM_SLOW_MS", slow):
            raise DemoError(f"The platform that runs on {self.folder.path} was started with PLATFORM_SLOW_MS={slow}: stop it first, then this starts its own.")  # fmt: skip
        say(f"Running on the platform that is there already, at {gateway}.")
        logins = str(self.data / "logins.json")
        try:
            return to_its_end(command, {**os.environ, "PLATFORM_GATEWAY_URL": gateway, "PLATFORM_LOGINS": logins, "PLATFORM_SLOW_MS": slow})  # fmt: skip
        except Stop:
            return STOPPED

    def url(self, name: str) -> str:
        return f"http://{HOST}:{self.ports[name]}"

    # -------------------------------------------------------------------------------------------------------- start

    def _portal(self) -> None:
        """The portal's demo, ours or one that runs on this folder already."""
        if not self.folder.running():
            quiet = [] if self.traffic else ["--no-traffic"]
            portal = Child("portal", [sys.executable, "-m", "portal.demo", *quiet], self.folder.description.exists, 60)
            with step("Starting the portal's demo", lambda: self.supervisor.last_words_of("portal")):
                self.supervisor.start(portal)
                self.supervisor.wait_until_ready(portal, PORTAL_SECONDS)
        self.environment, self.portal = self._found()

    def _found(self) -> tuple[dict[str, str], dict[str, Any]]:
        """(environment, description) of the portal that runs on this folder. Raises OSError or ValueError while none does."""
        return json.loads(self.folder.environment_file.read_text()), json.loads(self.folder.description.read_text())

    def _follow(self) -> None:
        """A portal that was started again may answer elsewhere: then our processes start again, too, with its new addresses."""
        try:
            found = self._found()
        except (OSError, ValueError):
            return
        if (self.environment, self.portal) == found:
            return
        self.environment, self.portal = found
        say(f"  The portal answers at {self.portal['url']} now; the platform's processes start again with that")
        for child in self.supervisor.children:
            if child.environment is not None:  # ours: the portal has the supervisor's
                child.environment = self._environment(child.name.removeprefix("platform-"))
                if child.process is not None:
                    child.process.terminate()

    def _platform(self) -> None:
        secret = self.data / "secret"
        if not secret.exists():
            write_private(secret, secrets.token_urlsafe(32))
        with step("Building catalogue, model and index"):
            build(self.data)
        if not (self.data / "accounts.json").exists():
            with step("Making tenants, keys and meters at the portal"):
                self._manage("add_meter", *METERS, "--now")
                client = Client(self.portal["url"], self.portal["operator"]["token"])
                onboard(client, self.data / "accounts.json", self.data / "logins.json")
        self.ports = free_ports()  # again: others may have taken some while the portal started
        with step("Starting gateway, imaging, search, ml, worker and queues"):
            children = [self._service(name) for name in SERVICES] + [self._worker(), self._queues()]
            for child in children:
                self.supervisor.start(child)
            for child in children:
                self.supervisor.wait_until_ready(child)
        if self.traffic:
            self.supervisor.start(self._child("traffic", [sys.executable, "infra/platform/traffic.py"]))

    def _manage(self, *arguments: str) -> None:
        answer = subprocess.run(
            [sys.executable, "-m", "portal.demo", "--manage", *arguments], cwd=ROOT, capture_output=True, text=True
        )
        if answer.returncode != 0:
            raise DemoError(f"manage.py {arguments[0]} failed: {answer.stderr.strip().splitlines()[-1]}")

    def _service(self, name: str) -> Child:
        command = [
            sys.executable,
            "-m",
            "uvicorn",
            f"aurelius_platform.{name}.app:create",
            "--factory",
            "--no-access-log",
        ]
        command += ["--host", HOST, "--port", str(self.ports[name]), "--log-level", "warning"]
        return self._child(name, command, f"{self.url(name)}/healthz")

    def _worker(self) -> Child:
        celery = [sys.executable, "-m", "celery", "--app", "aurelius_platform.worker", "worker", "--pool", "threads"]
        celery += ["--concurrency", "2", "--queues", "ml_inference,image_processing,indexing", "--loglevel", "WARNING"]
        celery += ["--without-gossip", "--without-mingle", "--hostname", "platform@%h", "--task-events"]
        return self._child("worker", celery, f"{self.url('worker')}/metrics")

    def _queues(self) -> Child:
        command = [sys.executable, "-m", "aurelius_platform.queues"]
        return self._child("queues", command, f"{self.url('queues')}/metrics")

    def _child(self, name: str, command: list[str], page: str = "") -> Child:
        """With an environment of its own, which it keeps when it has to be started again. `page` answers once it works."""
        ready = (lambda: answers(page)) if page else (lambda: True)
        return Child(f"platform-{name}", command, ready, environment=self._environment(name))

    def _environment(self, name: str) -> dict[str, str]:
        own = {
            "PLATFORM_DATA": str(self.data),
            "PLATFORM_SECRET": (self.data / "secret").read_text(),
            "PLATFORM_LOGINS": str(self.data / "logins.json"),
            "PLATFORM_PORTAL_URL": self.portal["url"],
            "PLATFORM_DECISION_URL": self.portal["decision_url"].removesuffix("/decide"),
            "PLATFORM_BROKER_URL": self.environment["CELERY_BROKER_URL"],
            "PLATFORM_METRICS_PORT": str(self.ports.get(name, 0)),
            "PYTHONPATH": os.pathsep.join(map(str, PATHS)),
            "PYTHONSAFEPATH": "1",
            "PYTHONUNBUFFERED": "1",
            **{f"PLATFORM_{each.upper()}_URL": self.url(each) for each in SERVICES},
        }
        inherited = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        return {**inherited, **own}

    # --------------------------------------------------------------------------------------------------------- tell

    def _tell(self) -> None:
        say(f"\nThe platform runs after {time.monotonic() - self.started:.1f} s:\n")
        rows = [("Portal", self.portal["url"]), *((name.capitalize(), self.url(name)) for name in SERVICES)]
        rows += [
            ("Worker's metrics", f"{self.url('worker')}/metrics"),
            ("Queues' metrics", f"{self.url('queues')}/metrics"),
        ]
        rows += [
            ("Logs", str(self.folder.logs)),
            ("Gateway's logins", str(self.data / "logins.json")),
            ("Portal's logins", str(self.folder.description)),
        ]
        for name, value in rows:
            say(f"  {name:<20} {value}")
        first: dict[str, Any] = json.loads((self.data / "logins.json").read_text())[0]
        login = json.dumps({"username": first["username"], "password": first["password"]})
        say(f"\n  Try: curl -s {self.url('gateway')}/login -H 'Content-Type: application/json' -d '{login}'")
        say("\n  Ctrl-C stops everything; the data stays. `make demo-reset` starts over.\n")


def _portals_environment(given: Mapping[str, str]) -> dict[str, str]:
    """The portal speaks gRPC to a collector unless told otherwise; the platform's services speak HTTP, and one address is for both."""
    spoken = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"} if given.get("OTEL_EXPORTER_OTLP_ENDPOINT") else {}
    return {**spoken, **given}


def _raise_stop(number: int, frame: FrameType | None) -> None:
    for each in SIGNALS:  # stopping is under way: a second signal would break it off
        signal.signal(each, signal.SIG_IGN)
    raise Stop


def main() -> int:
    parser = argparse.ArgumentParser(description="Start the portal's demo and the reference platform in front of it.")
    parser.add_argument("--no-traffic", action="store_true", help="start without generated traffic")
    parser.add_argument("--run", nargs=argparse.REMAINDER, default=[], help="run a command on it, then stop")
    options = parser.parse_args()
    try:
        return Platform(DemoFolder(), traffic=not options.no_traffic and not options.run).run(options.run)
    except (DemoError, EmbeddedError) as error:
        print(f"demo-platform: {error}", file=sys.stderr, flush=True)
        return 1


if __name__ == "__main__":
    sys.exit(main())
