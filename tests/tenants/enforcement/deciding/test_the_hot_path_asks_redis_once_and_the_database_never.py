from __future__ import annotations

from django.db import connection
from django.test.utils import CaptureQueriesContext

from tenants.enforcement.redis.control import control

from ..conftest import House


def reads() -> int:
    text = control().command("INFO", "stats").decode()
    return int(text.split("total_reads_processed:")[1].split()[0])


def test_one_round_trip_and_no_query(house: House) -> None:
    text, _ = house.key()
    house.enforcer.consume(text)  # connects, builds
    before = reads()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        for _ in range(20):
            house.enforcer.consume(text)
    own = 2  # PING and INFO of our own look
    assert reads() - before == 20 + own
    assert len(queries) == 0


def test_the_first_call_after_a_start_asks_the_database_only_to_build(house: House) -> None:
    text, _ = house.key()
    with CaptureQueriesContext(connection) as queries:
        assert house.enforcer.consume(text).allowed
    assert len(queries) > 0
    house.restart_process()
    with CaptureQueriesContext(connection) as queries:
        assert house.enforcer.consume(text).used == 2
    assert len(queries) == 0
