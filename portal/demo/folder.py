"""The demo's folder: secrets made once, the lock that only one demo holds, and the environment of every process."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import IO, Any

from portal.embedded.process import write_private

ROOT = Path(__file__).resolve().parent.parent.parent
DEFAULT_FOLDER = ROOT / ".data"
STOP_SECONDS = 40
# Secrets that must stay the same over restarts: sessions and API keys of the last run shall work in the next.
SECRETS = ("SECRET_KEY", "API_KEY_PEPPER", "METRICS_TOKEN", "ALERTS_TOKEN", "DEMO_PASSWORD_SEED")


class DemoError(RuntimeError):
    """The demo cannot go on; the text is one sentence that says what to do."""


def hold(path: Path) -> IO[str] | None:
    """Lock a file for as long as it is open, and write this process down in it; None when another one has it. Raises OSError."""
    lock = path.open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    lock.seek(0)
    lock.truncate()
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _written_in(lock: Path) -> int | None:
    try:
        return int(lock.read_text())
    except (OSError, ValueError):
        return None


def _is_held(lock: Path) -> bool:
    try:
        with lock.open("a+") as probe:
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _stop_holder(lock: Path) -> None:
    """End whoever holds it, and wait for that. Raises DemoError."""
    owner = _written_in(lock)
    if not _is_held(lock) or owner is None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(owner, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while _is_held(lock):
        if time.monotonic() > deadline:
            raise DemoError(f"The demo (process {owner}) does not stop: end it with `kill -9 {owner}` and try again.")
        time.sleep(0.1)


class DemoFolder:
    """`.data/`, or the folder that PORTAL_DATA names."""

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = Path(path or os.environ.get("PORTAL_DATA") or DEFAULT_FOLDER).absolute()
        self._lock: IO[str] | None = None

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def mail(self) -> Path:
        return self.path / "mail"

    @property
    def volumes(self) -> Path:
        """Directory trees, one a tenant, that the storage collector measures."""
        return self.path / "volumes"

    @property
    def environment_file(self) -> Path:
        """The environment of the running demo, for `make shell` and `make manage`; gone when it does not run."""
        return self.path / "environment.json"

    @property
    def description(self) -> Path:
        """`demo.json`: addresses and logins; it exists exactly while the demo answers."""
        return self.path / "demo.json"

    @property
    def credentials(self) -> Path:
        """What `seed_demo` keeps: the logins and keys that it made, which the database only holds hashed."""
        return self.path / "credentials.json"

    def take(self) -> None:
        """Make the folder and lock it. Raises DemoError when it cannot be written or another demo has it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            for folder in (self.logs, self.mail, self.volumes, self.path / "static"):
                folder.mkdir(exist_ok=True)
            self._lock = hold(self.path / "lock")
        except OSError as error:
            raise DemoError(
                f"Cannot write to {error.filename} ({error.strerror}): make the folder {self.path} writable for you, or set"
                " PORTAL_DATA to another folder."
            ) from None
        if self._lock is None:
            raise DemoError(
                f"A demo already runs on {self.path} (process {self.owner()}): stop it with Ctrl-C where it runs or with"
                f" `kill {self.owner()}`, or set PORTAL_DATA to another folder."
            )
        for leftover in (self.description, self.environment_file):
            leftover.unlink(missing_ok=True)

    def owner(self) -> int | None:
        """The process that holds the folder, as it wrote itself down."""
        return _written_in(self.path / "lock")

    def running(self) -> bool:
        """True while some process holds the folder."""
        return _is_held(self.path / "lock")

    def release(self) -> None:
        """The demo has stopped."""
        for path in (self.description, self.environment_file):
            path.unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def reset(self) -> None:
        """Stop the demo that runs here, if any, and delete its data. What stands in front of it on the same folder (the reference platform)
        is stopped first: it would start the demo again."""
        if not self.path.exists():
            return
        for lock in (*self.path.glob("*/lock"), self.path / "lock"):
            _stop_holder(lock)
        try:
            shutil.rmtree(self.path)
        except OSError as error:
            raise DemoError(
                f"Cannot delete {error.filename} ({error.strerror}): delete the folder {self.path} as the user who owns it."
            ) from None

    def secrets(self) -> dict[str, str]:
        """Made at the first start, kept in a file that only its owner reads."""
        path = self.path / "secrets.json"
        known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        missing = {name: secrets.token_urlsafe(48) for name in SECRETS if name not in known}
        if missing:
            known |= missing
            write_private(path, json.dumps(known, indent=1))
        return known

    def write_json(self, path: Path, content: dict[str, Any]) -> None:
        """Whole or not at all, readable by its owner only."""
        write_private(path, json.dumps(content, indent=2))


def process_environment(folder: DemoFolder, addresses: dict[str, str]) -> dict[str, str]:
    """The environment of web, decision endpoint, workers and traffic: what production would get from its operator."""
    own = {
        **folder.secrets(),
        "PORTAL_ENV": "demo",
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "API_KEY_ENV": "demo",
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "DEFAULT_FROM_EMAIL": "Aurelius Portal <portal@aurelius.example>",
        "PLATFORM_ALERT_EMAILS": "operator@aurelius.example",
        "COLLECTORS": json.dumps(collectors(folder)),
        "DATABASE_POOL_SIZE": "8",
        "ENERGY_PUE": "1.3",
        "ENERGY_GRAMS_PER_KWH": "112",
        "ENFORCEMENT_TIMEOUT_MS": "250",  # everything shares this machine: a late answer is no outage here
        "STATIC_ROOT": str(folder.path / "static"),
        "PORTAL_DATA": str(folder.path),
        "PYTHONUNBUFFERED": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        **addresses,
    }
    # NAME_FILE would win over NAME: whatever the person's own shell says about our names must not reach the demo.
    return {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in own} | own


def collectors(folder: DemoFolder) -> list[dict[str, Any]]:
    """Real collectors on this machine: directory trees that the demo fills, and GPUs where there are any."""
    return [
        # Sparse files stand for terabytes: their lengths count, not the blocks that they do not have.
        {"name": "volumes", "kind": "filesystem", "root": str(folder.volumes), "interval": 60, "measure": "apparent"},
        {"name": "gpus", "kind": "nvml", "interval": 30},
    ]
