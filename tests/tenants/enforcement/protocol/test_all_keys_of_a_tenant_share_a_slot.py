"""On a real server in cluster mode: it refuses a script that reaches for keys of two slots, declared or not."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.embedded import binaries, free_port
from tenants.enforcement.errors import RedisUnavailableError
from tenants.enforcement.protocol import keys
from tenants.enforcement.protocol.scripts import DECIDE
from tenants.enforcement.redis.connection import Redis

from ..stage import Stage


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """One node that owns all slots."""
    port = free_port()
    settings = [
        "--port",
        str(port),
        "--dir",
        str(tmp_path),
        "--save",
        "",
        "--cluster-enabled",
        "yes",
        "--bind",
        "127.0.0.1",
    ]
    process = subprocess.Popen([binaries.redis_server(), *settings], stdout=subprocess.DEVNULL, env=dict(os.environ))
    url = f"redis://127.0.0.1:{port}/0"
    try:
        _when_ready(url)
        yield url
    finally:
        process.kill()
        process.wait()


def _when_ready(url: str) -> None:
    deadline = time.monotonic() + 20
    given = False
    while time.monotonic() < deadline:
        try:
            connection = Redis(url, 1.0).connection()
            if not given:
                connection.command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
                given = True
            if b"cluster_state:ok" in connection.command("CLUSTER", "INFO"):
                return
        except RedisUnavailableError:
            pass
        time.sleep(0.02)
    raise AssertionError("the cluster did not come up")


def test_decisions_publication_and_building_work_on_a_cluster(cluster: str) -> None:
    stage = Stage(cluster)
    for slug in ("acme", "globex", "a", "initech-2"):
        stage.tenant(slug)
        decision = stage.enforcer().consume(stage.key(slug))
        assert (decision.code, decision.used) == ("", 1)


def test_every_key_name_carries_the_tenants_tag() -> None:
    names = [
        keys.tenant_key("acme"),
        keys.user_key("acme", "abcdefgh"),
        keys.usage_key("acme"),
        keys.reservations_key("acme"),
    ]
    assert all(name.split("{")[1].split("}")[0] == "acme" for name in names)


def test_the_cluster_would_refuse_keys_of_two_slots(cluster: str) -> None:
    """So that the test above is known to be able to fail."""
    connection = Redis(cluster, 1.0).connection()
    with pytest.raises(RedisUnavailableError, match=r"(?i)slot"):
        connection.script(DECIDE, "t:{acme}", "u:{globex}:a", "q:{acme}", "k", 65536, "", "g", 0)
