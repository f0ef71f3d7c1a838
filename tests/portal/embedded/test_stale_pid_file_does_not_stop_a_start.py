"""After a crash the pid file names a process that is gone, or by now another program: neither is taken for the server."""

import os

from portal.embedded import PostgresServer


def test_the_number_of_a_living_stranger_is_ignored(tmp_path):
    server = PostgresServer(tmp_path, durable=False)
    server.start()
    pid_file = server.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    server.kill()
    pid_file.write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")
    with server:
        assert int(pid_file.read_text().split()[0]) == server.process.pid


def test_an_interrupted_initdb_is_started_over(tmp_path):
    (tmp_path / "data.new").mkdir()
    (tmp_path / "data.new" / "PG_VERSION").write_text("18\n")
    with PostgresServer(tmp_path, durable=False) as server:
        assert server.alive()
