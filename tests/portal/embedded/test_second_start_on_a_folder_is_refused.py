"""Two servers on one folder would destroy it: the second is told who has it."""

import os

import pytest

from portal.embedded import EmbeddedError, PostgresServer, RedisServer


@pytest.mark.parametrize("kind", [PostgresServer, RedisServer])
def test_the_second_start_names_the_process_that_runs(tmp_path, kind):
    with kind(tmp_path, durable=False) as first:
        with pytest.raises(EmbeddedError, match=rf"already runs under process {os.getpid()}: stop that one first"):
            kind(tmp_path, durable=False).start()
        assert first.alive()


def test_a_stopped_folder_can_be_started_again(tmp_path):
    server = RedisServer(tmp_path, durable=False)
    server.start()
    server.stop()
    with RedisServer(tmp_path, durable=False) as again:
        assert again.call("PING") == "+PONG"
