"""The servers of a test run: one PostgreSQL for the whole run, a database and a Redis of its own for every worker.

They start when the first test asks for them, on free ports, under a temporary folder, and die with the run. A migrated
database is kept in `.cache/` and copied, so that only a change of models or migrations pays for migrating again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psycopg
from psycopg import sql

from portal.demo.shape import database_shape
from portal.embedded import EmbeddedError, PostgresServer, RedisServer, free_port
from portal.embedded.process import write_private

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "postgres-templates"
KEPT_TEMPLATES = 3
RUN_FOLDER = "AURELIUS_TEST_RUN"  # environment variables through which the controller tells its workers
PREFIX = "aurelius-tests-"
ROOM = 2_000_000_000  # bytes free, to keep a run in memory: fresh databases cost a tenth there
POSTGRES_PORT = "AURELIUS_TEST_POSTGRES_PORT"


class Servers:
    """The servers as one pytest process sees them. Ports and passwords are fixed before anything starts."""

    def __init__(self) -> None:
        self.worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        self.owns_run = RUN_FOLDER not in os.environ
        if self.owns_run:
            folder, self._lock = _new_run()
            os.environ[RUN_FOLDER] = str(folder)
            os.environ[POSTGRES_PORT] = str(free_port())
        self.folder = Path(os.environ[RUN_FOLDER])
        (self.folder / "static").mkdir(exist_ok=True)
        self.database = f"test_{self.worker}"
        self.postgres = PostgresServer(
            self.folder / "postgres",
            durable=False,
            port=int(os.environ[POSTGRES_PORT]),
            password=template_password(),
            max_connections=200,
        )
        self.redis = RedisServer(
            self.folder / f"redis-{self.worker}", durable=False, port=free_port(), password=secrets.token_urlsafe(24)
        )

    def environment(self) -> dict[str, str]:
        """Settings for the processes under test, with throw-away secrets."""
        return {
            "PORTAL_ENV": "test",
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "SECRET_KEY": "tests-only-" + "x" * 50,
            "API_KEY_PEPPER": "tests-only-pepper-" + "y" * 40,
            "API_KEY_ENV": "test",
            "DATABASE_URL": self.postgres.url_for(self.database),
            "ENFORCEMENT_REDIS_URL": self.redis.url_for(0),
            "CACHE_REDIS_URL": self.redis.url_for(1),
            "CELERY_BROKER_URL": self.redis.url_for(2),
            "EMAIL_URL": "memorymail://",
            "SITE_URL": "http://testserver",
            "STATIC_ROOT": str(self.folder / "static"),  # empty; the finders find the files
            "METRICS_TOKEN": "tests-only-metrics-token",
        }

    # ---------------------------------------------------------------------------------------------------- PostgreSQL

    def start_postgres(self) -> None:
        """Start the run's PostgreSQL from a migrated template; the run's first process does this."""
        if self.postgres.alive():
            return
        self.postgres.template = migrated_template(self.environment())
        self.postgres.start()

    def renew_database(self) -> None:
        """Give this worker a fresh copy of the migrated database (about 50 ms)."""
        name, template = sql.Identifier(self.database), sql.Identifier("portal")
        with psycopg.connect(self.postgres.url_for("postgres", superuser=True), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
            with self._one_copy_at_a_time():
                connection.execute(
                    sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY OWNER portal").format(name, template)
                )

    @contextlib.contextmanager
    def _one_copy_at_a_time(self) -> Iterator[None]:
        with (self.folder / "template.lock").open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    # --------------------------------------------------------------------------------------------------------- Redis

    def heal_redis(self) -> None:
        """Running, not paused, empty: whatever a test did to it."""
        if self.redis.alive():
            self.redis.resume()
            self.redis.flush()
        else:
            self.redis.start()

    def stop(self) -> None:
        """Stop what this process started; the run's first process removes the folder."""
        self.redis.stop()
        self.postgres.stop()
        if self.owns_run:
            shutil.rmtree(self.folder, ignore_errors=True)


def template_password() -> str:
    """One password for all templates, so that a copy works as it is; only this machine's loopback ever sees it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    path = CACHE / "password"
    if not path.exists():
        write_private(path, secrets.token_urlsafe(24))
    return path.read_text().strip()


def migrated_template(environment: dict[str, str]) -> Path:
    """A stopped PostgreSQL folder whose database `portal` is migrated; made when models or migrations changed."""
    target = CACHE / database_shape()
    with (CACHE / "lock").open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not target.exists():
            scratch = Path(tempfile.mkdtemp(prefix="new-", dir=CACHE))
            try:
                _migrate_into(scratch, environment)
            except BaseException:
                shutil.rmtree(scratch, ignore_errors=True)
                raise
            scratch.rename(target)
        target.touch()
        _forget_old_templates()
    return target


def _migrate_into(folder: Path, environment: dict[str, str]) -> None:
    started = time.monotonic()
    print("Migrating a template database for the tests …", file=sys.stderr, flush=True)
    with PostgresServer(folder, durable=False, password=template_password()) as server:
        answer = subprocess.run(
            [sys.executable, "-m", "django", "migrate", "--verbosity", "0", "--skip-checks"],
            env={**os.environ, **environment, "DATABASE_URL": server.url},
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
    if answer.returncode != 0:
        raise EmbeddedError(f"The migrations fail, so no test can have a database:\n{answer.stderr[-3000:]}")
    print(f"  done in {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)


def _forget_old_templates() -> None:
    folders = sorted(
        (path for path in CACHE.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime, reverse=True
    )
    for path in folders[KEPT_TEMPLATES:]:
        shutil.rmtree(path, ignore_errors=True)


def _new_run() -> tuple[Path, IO[str]]:
    """A folder for this run, with a lock that tells that the run lives; folders of runs that were killed are removed."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM
    parent = memory if roomy else Path(tempfile.gettempdir())
    guard = (parent / f".{PREFIX}{os.getuid()}.lock").open("a")  # nobody sweeps between making a folder and locking it
    fcntl.flock(guard, fcntl.LOCK_EX)
    for path in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError), (path / "run.lock").open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    lock = (folder / "run.lock").open("a")
    fcntl.flock(lock, fcntl.LOCK_EX)
    guard.close()
    return folder, lock


servers = Servers()
"""This process's view of the run's servers."""
