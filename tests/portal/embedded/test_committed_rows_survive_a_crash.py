"""kill -9 of PostgreSQL loses nothing that was committed, and the next start repairs the folder by itself."""

import psycopg

from portal.embedded import PostgresServer


def test_rows_are_there_after_kill_minus_nine(tmp_path):
    server = PostgresServer(tmp_path)
    server.start()
    try:
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE t AS SELECT generate_series(1, 1000) AS i")
        before = server.url
        server.kill()
        server.start()
        assert server.url == before  # clients find it where it was
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT count(*) FROM t").fetchone() == (1000,)
    finally:
        server.stop()
