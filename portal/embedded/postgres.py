"""A private PostgreSQL: one folder, one database, one owner role that is no superuser."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from portal.embedded import binaries
from portal.embedded.process import EmbeddedError, Server, write_private

ROLE = DATABASE = "portal"
SUPERUSER = "postgres"
MAX_SOCKET_PATH = 107  # of a Unix socket's address on Linux
# A lost crash costs a test run nothing; syncing would cost it much.
FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "dynamic_shared_memory_type": "mmap",  # in the folder, so that a killed server leaves nothing elsewhere
}


class PostgresServer(Server):
    """PostgreSQL in `directory`, listening on loopback and on a socket in the folder, with scram passwords.

    `template` is a folder that another PostgresServer with the same password prepared and stopped: a copy of it saves initdb
    and migrations.
    """

    name = "PostgreSQL"
    stop_signals = ((signal.SIGINT, 15), (signal.SIGQUIT, 5), (signal.SIGKILL, 5))

    def __init__(
        self,
        directory: Path | str,
        *,
        durable: bool = True,
        port: int | None = None,
        password: str | None = None,
        max_connections: int = 100,
        template: Path | None = None,
        run_as: Callable[[], tuple[tuple[str, ...], int]] = binaries.unprivileged,
    ) -> None:
        super().__init__(directory, durable=durable, port=port, password=password)
        self.max_connections = max_connections
        self.template = template
        self.run_as = run_as
        self.orphan_signal = signal.SIGINT if durable else signal.SIGQUIT

    @property
    def data(self) -> Path:
        """PostgreSQL's own data directory."""
        return self.directory / "data"

    @property
    def url(self) -> str:
        """The portal's database, as its owner (a role without superuser rights)."""
        return self.url_for(DATABASE)

    def url_for(self, database: str, *, superuser: bool = False) -> str:
        """The URL of another database on this server."""
        return f"postgres://{SUPERUSER if superuser else ROLE}:{self.password}@127.0.0.1:{self.port}/{database}"

    def prepare(self) -> None:
        programs = binaries.postgres_bin_under(self.run_as()[0])
        if not (self.data / "PG_VERSION").exists():
            self._copy_template() if self.template else self._initdb(programs)
        self._check_version(programs)
        self._own_files()
        leftover_pid = self.data / "postmaster.pid"
        if leftover_pid.exists() and self.leftover() is None:
            leftover_pid.unlink()  # after a crash, its number may by now be another program's

    def command(self) -> list[str]:
        settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self._socket_folder(),
            "max_connections": str(self.max_connections),
            "timezone": "UTC",
            "log_timezone": "UTC",
            "jit": "off",  # compiling costs more than the portal's queries take
            "shared_buffers": "128MB",
            **({} if self.durable else FAST),
        }
        prefix, _ = self.run_as()
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [*prefix, str(binaries.postgres_bin_under(prefix) / "postgres"), "-D", str(self.data), *options]

    def answers(self) -> bool:
        try:
            with psycopg.connect(
                self.url_for("postgres", superuser=True), connect_timeout=5, autocommit=True
            ) as connection:
                self._ensure_database(connection)
        except psycopg.OperationalError:
            return False
        return True

    def leftover(self) -> psutil.Process | None:
        """A postmaster that still works in our data directory (its working directory tells, not the number alone)."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
            process = psutil.Process(pid)
            same = Path(process.cwd()) == self.data and process.status() != psutil.STATUS_ZOMBIE
        except (OSError, ValueError, IndexError, psutil.Error):
            return None
        return process if same else None

    # ------------------------------------------------------------------------------------------------------ helpers

    def _initdb(self, programs: Path) -> None:
        """Into a scratch folder first: an interrupted initdb leaves nothing that looks like a database."""
        scratch = self.directory / "data.new"
        shutil.rmtree(scratch, ignore_errors=True)
        prefix, owner = self.run_as()
        scratch.mkdir(mode=0o700)
        os.chown(scratch, owner, -1)
        secret = self.directory / "initdb.password"
        write_private(secret, self.password)
        os.chown(secret, owner, -1)
        modern = binaries.postgres_major(programs) >= 17
        locale = ["--locale-provider=builtin", "--locale=C.UTF-8"] if modern else ["--locale=C.UTF-8"]
        answer = subprocess.run(
            [*prefix, str(programs / "initdb"), "-D", str(scratch), "-U", SUPERUSER, "--auth=scram-sha-256"]
            + [f"--pwfile={secret}", "-E", "UTF8", *locale, *([] if self.durable else ["--no-sync"])],
            capture_output=True,
            text=True,
            cwd=self.directory,
        )
        secret.unlink()
        if answer.returncode != 0:
            words = (answer.stderr.strip() or answer.stdout.strip()).splitlines()
            raise EmbeddedError(
                f"PostgreSQL could not make its data folder {self.data}: {words[-1] if words else 'unknown'}."
            )
        scratch.rename(self.data)

    def _copy_template(self) -> None:
        assert self.template is not None
        scratch = self.directory / "data.new"
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.copytree(self.template / "data", scratch, symlinks=True)
        scratch.rename(self.data)

    def _check_version(self, programs: Path) -> None:
        made_by, program = int((self.data / "PG_VERSION").read_text()), binaries.postgres_major(programs)
        if made_by != program:
            raise EmbeddedError(
                f"The data in {self.data} was made by PostgreSQL {made_by}, but this one is {program}: start over with"
                f" `make demo-reset`, or keep the data by setting PORTAL_EMBEDDED so that PostgreSQL {made_by} is used."
            )

    def _own_files(self) -> None:
        """Give the data to the user that will run the server, when root changed its way of running it."""
        _, owner = self.run_as()
        if os.geteuid() == 0 and self.data.stat().st_uid != owner:
            for folder, folders, files in os.walk(self.data):
                for name in (*folders, *files):
                    os.chown(Path(folder) / name, owner, -1, follow_symlinks=False)
            os.chown(self.data, owner, -1)

    def _socket_folder(self) -> str:
        """The socket lies in our folder, unless its path would be too long for the kernel."""
        return str(self.directory) if len(f"{self.directory}/.s.PGSQL.{self.port}") <= MAX_SOCKET_PATH else ""

    def _ensure_database(self, connection: psycopg.Connection) -> None:
        """The portal's role owns its database but is no superuser: row security must bind it as in production."""
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if known:
            return
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} CREATEROLE CREATEDB").format(
                sql.Identifier(ROLE), sql.Literal(self.password)
            )
        )
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), sql.Identifier(ROLE))
        )
