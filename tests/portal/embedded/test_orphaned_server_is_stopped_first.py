"""Where the kernel does not end children with their parent, the next start ends the orphan and takes over its folder."""

import psutil

from portal.embedded import PostgresServer


def test_a_postmaster_that_nobody_supervises(tmp_path):
    lost = PostgresServer(tmp_path, durable=False)
    lost.start()
    orphan = psutil.Process(lost.process.pid)
    lost._release_folder()  # as if its supervisor had died

    with PostgresServer(tmp_path, durable=False) as server:
        assert server.alive()
        assert server.process.pid != orphan.pid
        lost.process.wait(5)
        assert not orphan.is_running()
