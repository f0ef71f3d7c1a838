from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from django.test import Client

from portal.embedded import RedisServer
from tenants import enforcement
from tenants.credentials import apikeys
from tenants.enforcement import engine
from tenants.enforcement.publishing import policy
from tests.portal.web.conftest import Cast, text_of


@pytest.fixture(autouse=True)
def _new_enforcer() -> Iterator[None]:
    """Nobody inherits a breaker that a dead Redis has opened."""
    engine.enforcer.cache_clear()
    yield
    engine.enforcer.cache_clear()


@pytest.fixture
def shown(browse: Callable[[str], Client]) -> Callable[[str], str]:
    def read(person: str) -> str:
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text_of(browse(person).get("/t/acme/quotas"))))

    return read


@pytest.mark.django_db(transaction=True)
def test_own_calls_are_counted_in_own_windows_only(cast: Cast, shown: Callable[[str], str]) -> None:
    bob = cast.membership("bob")
    key = apikeys.create(cast.acme, name="Mine", scopes=["decide"], by=bob, member=bob, actor="user:bob").text
    policy.publish(cast.acme.pk)
    for _ in range(7):
        assert enforcement.consume(key).allowed
    assert "minute 60 calls 53" in shown("bob")
    assert "minute 60 calls 60" in shown("alice")


@pytest.mark.django_db(transaction=True)
def test_without_live_counters_the_limits_are_still_told(
    cast: Cast, shown: Callable[[str], str], redis_server: RedisServer
) -> None:
    redis_server.kill()
    text = shown("bob")
    assert "minute 60 calls Plan Standard" in text
    assert "Your use now" not in text
