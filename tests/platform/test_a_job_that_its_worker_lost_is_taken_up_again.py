"""Jobs that a killed worker held are kept apart from the portal's on the same Redis, and are another worker's after LONGEST_JOB seconds."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import redis

from aurelius_platform.queueing import IMAGES, LONGEST_JOB, celery_app
from portal.embedded import RedisServer, free_port
from tests.platform.conftest import config


@pytest.fixture
def server(tmp_path: Path):
    with RedisServer(tmp_path / "redis", durable=False, port=free_port(), password="tests-only") as found:
        yield found


def test_it_comes_back_to_its_queue_and_not_before(built: Path, server, monkeypatch: pytest.MonkeyPatch) -> None:
    app = celery_app(config("worker", built, broker_url=server.url_for(2)))
    app.send_task("platform.thumbnails", ["a-job"])
    store = redis.Redis.from_url(server.url_for(2))
    with app.connection_for_read() as connection:
        channel = connection.channel()
        assert channel.basic_get(IMAGES, no_ack=False) is not None  # taken, and never acknowledged
        assert store.hlen("platform.unacked") == 1
        assert not store.exists("unacked"), "the portal's workers would take it for theirs"
        qos, now = channel.qos, time.time()
        for after, waiting in ((LONGEST_JOB - 10, 0), (LONGEST_JOB + 10, 1)):
            monkeypatch.setattr("kombu.transport.redis.time", lambda after=after: now + after)
            qos._vrestore_count = 0
            qos.restore_visible(interval=1)
            assert store.llen(IMAGES) == waiting, after
