"""kill -9 of the supervisor leaves no server behind, and the folder can be used at once."""

import subprocess
import sys

import psutil

from portal.embedded import PostgresServer, RedisServer

SUPERVISOR = """
import sys, time
from portal.embedded import PostgresServer, RedisServer
postgres, redis = PostgresServer(sys.argv[1] + "/postgres"), RedisServer(sys.argv[1] + "/redis")
postgres.start(), redis.start()
print(postgres.process.pid, redis.process.pid, flush=True)
time.sleep(600)
"""


def test_kill_minus_nine_of_the_supervisor(tmp_path):
    supervisor = subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert supervisor.stdout is not None
    children = [psutil.Process(int(pid)) for pid in supervisor.stdout.readline().split()]
    assert len(children) == 2

    supervisor.kill()
    supervisor.wait()

    _, alive = psutil.wait_procs(children, timeout=20)
    assert [child for child in alive if child.status() != psutil.STATUS_ZOMBIE] == []
    with PostgresServer(tmp_path / "postgres") as postgres, RedisServer(tmp_path / "redis") as redis:
        assert postgres.alive()
        assert redis.alive()
