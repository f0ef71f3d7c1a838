"""The ledger in each of its engines: every test that asks for `engine` runs once in each."""

from __future__ import annotations

import atexit
import functools
import itertools
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

from metering.event_store import schema, store
from metering.event_store.client import Client, connect
from metering.event_store.protocol import EventStore
from tests.metering.event_store.clickhouse_server import FrontDoor, front_door

numbers = itertools.count(1)


@functools.cache
def only_folder() -> str:
    """chdb's folder: a process can have one, in whichever rooms of the tests it is asked for."""
    made = tempfile.mkdtemp(prefix="chdb-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


@pytest.fixture(scope="session")
def folder() -> str:
    pytest.importorskip("chdb", reason="chdb has no wheel for this platform")
    return only_folder()


@pytest.fixture
def database(folder: str) -> Iterator[str]:
    """The name of a ClickHouse database of this test's own."""
    name = f"ledger_{next(numbers)}"
    yield name
    connect(f"chdb://{folder}?database={name}").command(f"DROP DATABASE IF EXISTS {name}")


@pytest.fixture
def door(folder: str) -> Iterator[FrontDoor]:
    """A front door to ClickHouse that can lose answers and refuse."""
    with front_door(folder) as door:
        yield door


@pytest.fixture
def clickhouse(settings: Any, door: FrontDoor, database: str) -> Client:
    """This installation's ledger is in ClickHouse, over HTTP."""
    settings.EVENT_STORE, settings.CLICKHOUSE_URL = "clickhouse", door.url(database)
    client = connect(settings.CLICKHOUSE_URL)
    schema.make(client)
    return client


@pytest.fixture(params=["postgresql", "clickhouse-in-process", "clickhouse-over-http"])
def engine(request: pytest.FixtureRequest, settings: Any) -> EventStore:
    """The installation's event store, in each engine."""
    if request.param == "clickhouse-in-process":
        folder, name = request.getfixturevalue("folder"), request.getfixturevalue("database")
        settings.EVENT_STORE, settings.CLICKHOUSE_URL = "clickhouse", f"chdb://{folder}?database={name}"
        schema.make(connect(settings.CLICKHOUSE_URL))
    elif request.param == "clickhouse-over-http":
        request.getfixturevalue("clickhouse")
    return store()
