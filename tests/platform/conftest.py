"""The reference platform in one process: real services on what a set-up builds, joined without a network, and a portal that says what a test wants."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aurelius.decisions import Decision

from aurelius_platform import accounts
from aurelius_platform.build import build
from aurelius_platform.config import Config
from aurelius_platform.gateway import app as gateway
from aurelius_platform.imaging import app as imaging
from aurelius_platform.ml import app as ml
from aurelius_platform.search import app as search
from aurelius_platform.upstream import Upstream
from aurelius_platform.usage import Usage

SECRET = "a-secret-of-the-tests-only"
PASSWORD = "correct horse battery"
PEOPLE = [("cleo", "riverside", ("clinician",)), ("ada", "riverside", ("clinician", "admin")), ("lars", "lakeside", ("clinician",))]  # fmt: skip


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `build` makes, with fewer reports, and three people who may log in."""
    folder = tmp_path_factory.mktemp("platform")
    build(folder, documents=300)
    people = [
        accounts.Account(name, accounts.hashed(PASSWORD), tenant, "mammography", f"gpk_test_{name}", roles)
        for name, tenant, roles in PEOPLE
    ]
    accounts.dump(folder / "accounts.json", people, {"riverside": "gpk_test_service"})
    return folder


def config(service: str, data: Path, **values: Any) -> Config:
    urls = {name: f"http://{name}" for name in ("gateway", "imaging", "search", "ml")}
    return Config(service, data, SECRET, urls, **{"accounts": data / "accounts.json"} | values)


class Portal:
    """Decides as a test says, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answer = Decision(
            200, [(b"x-ratelimit-limit", b"60"), (b"x-ratelimit-remaining", b"59")], tenant="riverside"
        )
        self.asked: list[dict[str, Any]] = []

    async def decide(self, authorization: str, **what: Any) -> Decision:
        self.asked.append({"authorization": authorization, **what})
        return self.answer


class Queue:
    """Where jobs are published; a test looks at them, or has a workshop do them."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def send_task(self, name: str, arguments: list[str]) -> None:
        self.sent.append((name, arguments[0]))


class Told:
    """Stands for the SDK's Events."""

    accepted = 0

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def send(self, type: str, quantity: int, **dimensions: Any) -> None:
        self.events.append({"type": type, "quantity": quantity, **dimensions})

    def close(self) -> None: ...


class Platform:
    """The four services joined; `client` talks to the gateway."""

    def __init__(self, data: Path, **values: Any) -> None:
        self.data, self.portal, self.queue, self.told = data, Portal(), Queue(), Told()
        self.usages = {name: Usage(name, self.told) for name in ("imaging", "search", "ml")}  # type: ignore[arg-type]
        self.imaging = imaging.create(config("imaging", data, **values), self.queue, self.usages["imaging"])  # type: ignore[arg-type]
        self.search = search.create(config("search", data, **values), self.queue, self.usages["search"])  # type: ignore[arg-type]
        self.ml = ml.create(
            config("ml", data, **values), self.queue, self.usages["ml"], self.peer("imaging", self.imaging)
        )  # type: ignore[arg-type]
        peers = {"imaging": self.imaging, "search": self.search, "ml": self.ml}
        upstreams = {name: self.peer(name, app) for name, app in peers.items()}
        self.gateway = gateway.create(config("gateway", data, **values), self.portal, upstreams)

    def peer(self, name: str, app: Any) -> Upstream:
        return Upstream(config("gateway", self.data), name, httpx.ASGITransport(app))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[httpx.AsyncClient]:
        async with self.ml.router.lifespan_context(self.ml), self.client(self.gateway) as client:
            yield client

    @staticmethod
    def client(app: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://platform")


async def log_in(client: httpx.AsyncClient, name: str = "cleo") -> httpx.AsyncClient:
    """The client, from now on as that person."""
    answer = await client.post("/login", json={"username": name, "password": PASSWORD})
    client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
    return client


@pytest.fixture
def platform(built: Path) -> Platform:
    return Platform(built)
