"""The demo's Redis comes back with its data; the tests' comes back empty; neither ever evicts."""

import pytest

from portal.embedded import RedisServer


@pytest.mark.parametrize(("durable", "answer"), [(True, "$1"), (False, "$-1")])
def test_restart(tmp_path, durable, answer):
    with RedisServer(tmp_path, durable=durable) as server:
        assert server.call("SET", "a", "1") == "+OK"
        server.restart()
        assert server.call("GET", "a") == answer


def test_a_killed_durable_server_starts_again(tmp_path):
    server = RedisServer(tmp_path)
    server.start()
    server.call("SET", "a", "1")
    server.kill()
    with server:
        assert server.call("PING") == "+PONG"


def test_nothing_is_evicted(redis_server):
    assert redis_server.call("CONFIG", "GET", "maxmemory-policy") == "*2"
    assert "maxmemory-policy noeviction" in redis_server.settings.read_text()
