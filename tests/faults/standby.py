"""A streaming replica of a PostgresServer, made with pg_basebackup."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import psycopg

from portal.embedded import PostgresServer, binaries


class Standby(PostgresServer):
    """Follows `primary`; read-only. Both answer to the same passwords."""

    name = "PostgreSQL standby"

    def __init__(self, directory: Path, primary: PostgresServer) -> None:
        super().__init__(directory, password=primary.password, max_connections=primary.max_connections)
        self.primary = primary

    def _initdb(self, programs: Path) -> None:
        scratch = self.directory / "data.new"
        shutil.rmtree(scratch, ignore_errors=True)
        prefix, owner = self.run_as()
        scratch.mkdir(mode=0o700)
        os.chown(scratch, owner, -1)
        answer = subprocess.run(
            [*prefix, str(programs / "pg_basebackup"), "-D", str(scratch), "-R", "-X", "stream", "-c", "fast", "-d",
             self.primary.url_for("postgres", superuser=True)],
            capture_output=True, text=True, cwd=self.directory,
        )  # fmt: skip
        assert answer.returncode == 0, answer.stderr
        (scratch / "postmaster.pid").unlink(missing_ok=True)
        scratch.rename(self.data)

    def ask(self, statement: str) -> object:
        """One value from the standby, as superuser."""
        with psycopg.connect(self.url_for("portal", superuser=True), autocommit=True) as connection:
            row = connection.execute(statement).fetchone()
            return row[0] if row else None

    @property
    def postmaster(self) -> int:
        """The process whose children are all the server's others."""
        return int((self.data / "postmaster.pid").read_text().splitlines()[0])

    def catch_up(self) -> None:
        """Wait until everything that is committed on the primary can be read here."""
        with psycopg.connect(self.primary.url_for("portal", superuser=True), autocommit=True) as connection:
            (target,) = connection.execute("SELECT pg_current_wal_lsn()").fetchone() or ("",)
        deadline = time.monotonic() + 60
        while not self.ask(f"SELECT pg_last_wal_replay_lsn() >= '{target}'"):
            assert time.monotonic() < deadline, "the standby does not follow"
            time.sleep(0.02)


def bin_folder() -> Path:
    return binaries.postgres_bin()
