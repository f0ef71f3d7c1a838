from __future__ import annotations

import secrets

from django.db import connection
from django.test.utils import CaptureQueriesContext

from tenants.enforcement.redis.control import control

from ..conftest import House


def test_a_flood_of_made_up_tenants_costs_one_query(house: House) -> None:
    with CaptureQueriesContext(connection) as queries:
        for number in range(50):
            text = f"gpk_test_made-up-{number}_{'a' * 16}_{secrets.token_urlsafe(32)}".encode()
            assert house.enforcer.consume(text).code == "invalid_key"
    assert len(queries) == 1


def test_nothing_is_left_of_them_in_redis(house: House) -> None:

    text = f"gpk_test_made-up_{'a' * 16}_{secrets.token_urlsafe(32)}".encode()
    house.enforcer.consume(text)
    assert control().command("KEYS", "*made-up*") == []
