"""Real PostgreSQL, real Redis, the fixed cast, and no way out to the network. See tests/servers.py."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from tests.servers import servers

if TYPE_CHECKING:
    from portal.embedded import RedisServer
    from tests.tenants.cast import Cast

os.environ.update(servers.environment())

import django
from django.conf import settings

assert settings.PORTAL_ENV == "test"
django.setup()
# A worker inherits our environment; with this name in it, pytest-django would read the settings there before this file has
# put the worker's own addresses in place.
del os.environ["DJANGO_SETTINGS_MODULE"]

hypothesis_settings.register_profile(
    "default", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
hypothesis_settings.register_profile("thorough", parent=hypothesis_settings.get_profile("default"), max_examples=2000)
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_configure(config: pytest.Config) -> None:
    """With workers, the controller starts PostgreSQL: it outlives them all. Alone, the first test that needs it does."""
    if servers.owns_run and getattr(config.option, "numprocesses", None) and not config.option.collectonly:
        _start_postgres()


def _start_postgres() -> None:
    from portal.embedded import EmbeddedError

    try:
        servers.start_postgres()
    except EmbeddedError as error:
        pytest.exit(str(error), returncode=3)


def pytest_unconfigure() -> None:
    servers.stop()


# ------------------------------------------------------------------------------------------------------------- databases


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: Any) -> Iterator[None]:
    """A migrated database and a Redis of this worker's own, in place of Django's `test_…` database."""
    if servers.owns_run:
        _start_postgres()
    servers.renew_database()
    servers.heal_redis()
    yield
    with django_db_blocker.unblock():
        _close_connections()


def _renew_database(self: object) -> None:
    """After a test that really committed: a fresh copy, since append-only tables refuse Django's TRUNCATE."""
    _close_connections()
    servers.renew_database()


def _close_connections() -> None:
    from django.db import connections

    for connection in connections.all(initialized_only=True):
        connection.close()


from django.test import TransactionTestCase  # noqa: E402

TransactionTestCase._fixture_teardown = _renew_database  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _fresh_redis(request: pytest.FixtureRequest) -> None:
    """Nobody inherits counters, cached pages or queued tasks from the test before."""
    needs = {"db", "transactional_db", "redis_server"} & set(request.fixturenames)
    if needs or request.node.get_closest_marker("django_db"):
        servers.heal_redis()


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """This worker's Redis, to `pause()`, `resume()`, `kill()`, `restart()` (comes back empty) or `flush()`; healed afterwards."""
    servers.heal_redis()
    yield servers.redis
    servers.heal_redis()


@pytest.fixture
def cast(db: None) -> Cast:
    """acme with alice (owner), ada (admin), carol (billing), bob (member), victor (viewer); globex with mallory; olivia and sam."""
    from tests.tenants.cast import make_cast

    return make_cast()


@pytest.fixture(scope="session")
def server_environment() -> dict[str, str]:
    """Environment for a child process that shall work on this worker's servers."""
    return {**os.environ, **servers.environment()}
