"""The middleware while nobody can decide: deny refuses, bounded and allow let through whom the portal allowed lately."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from aurelius import Client, Decision, DecisionUnavailableError, Events
from aurelius.failing import FailSafe
from aurelius.middleware import AureliusMiddleware, AureliusWSGIMiddleware
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route as Path

from tests.clients.serving import Scripted, accepted


class Portal:
    """A decider that can be switched off."""

    away = False
    refusal: Decision | None = None
    asked = 0

    def answer(self, authorization: str) -> Decision:
        self.asked += 1
        if self.away:
            raise DecisionUnavailableError("switched off")
        return self.refusal or Decision(200, [], b"", "acme", "abcdefgh", "abcdefgh23456723")


class Blocking(Portal):
    def decide(self, authorization: str, **asked: Any) -> Decision:
        return self.answer(authorization)

    def close(self) -> None:
        return None


class OnALoop(Portal):
    async def decide(self, authorization: str, **asked: Any) -> Decision:
        return self.answer(authorization)

    async def close(self) -> None:
        return None


async def statuses(portal: Portal, keys: list[str], **options: Any) -> list[int]:
    """What callers get, in turn; the portal goes away after the first."""
    found = []
    if isinstance(portal, OnALoop):
        app = Starlette(routes=[Path("/", lambda request: PlainTextResponse("ok"))])
        app.add_middleware(AureliusMiddleware, decider=portal, **options)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://g") as client:
            for key in keys:
                found.append((await client.get("/", headers={"Authorization": key})).status_code)
                portal.away = True
        return found

    def service(environ: Any, start: Any) -> list[bytes]:
        start("200 OK", [])
        return [b"ok"]

    wsgi = AureliusWSGIMiddleware(service, decider=portal, **options)  # type: ignore[arg-type]
    with httpx.Client(transport=httpx.WSGITransport(wsgi), base_url="http://g") as blocking:
        for key in keys:
            found.append(blocking.get("/", headers={"Authorization": key}).status_code)
            portal.away = True
    return found


@pytest.mark.parametrize("portal", [Blocking, OnALoop])
@pytest.mark.parametrize(
    ("policy", "expected"),
    [("deny", [200, 503, 503, 503, 503]), ("bounded", [200, 503, 200, 200, 429]), ("allow", [200, 503, 200, 200, 200])],
)
async def test_who_is_let_through(portal: type[Portal], policy: str, expected: list[int]) -> None:
    found = await statuses(portal(), ["a", "b", "a", "a", "a"], fail=policy, bounded_per_minute=2)
    assert found == expected


async def test_an_outage_costs_one_caller_the_wait_and_not_each() -> None:
    portal = OnALoop()
    await statuses(portal, ["a"] * 50)
    assert portal.asked == 2


def test_whom_the_portal_refused_for_good_is_not_let_through() -> None:
    safe = FailSafe("allow")
    allowed = Decision(200, [], b"", "acme", "abcdefgh", "k")
    for code, expected in (("rate_limit_exceeded", 200), ("invalid_key", 503), ("tenant_suspended", 503)):
        safe.saw("a", allowed)
        safe.saw("a", Decision(403, [], b'{"code": "%s"}' % code.encode()))
        assert safe.without("a", 1, None).status == expected, code


@pytest.mark.parametrize(("later", "expected"), [(300.0, 200), (300.1, 503)])
def test_whom_the_portal_allowed_long_ago_is_not_let_through(
    monkeypatch: pytest.MonkeyPatch, later: float, expected: int
) -> None:
    now = 1_000.0
    monkeypatch.setattr("aurelius.failing.time.monotonic", lambda: now)
    safe = FailSafe("allow", remember=300.0)
    safe.saw("a", Decision(200, [], b"", "acme", "abcdefgh", "k"))
    now += later
    assert safe.without("a", 1, None).status == expected


async def test_calls_that_were_let_through_are_reported_for_the_bill() -> None:
    with (
        Scripted(lambda number, asked: (200, {}, accepted(asked))) as portal,
        Events(Client(portal.url, "k"), key_of={"acme": "k-acme"}) as events,
    ):
        await statuses(OnALoop(), ["a", "a", "a"], fail="allow", events=events)
    told = [event for asked in portal.asked for event in asked["body"]]
    assert [(event["type"], event["data"]["quantity"], event["data"]["user"]) for event in told] == [
        ("api_calls", "1", "abcdefgh")
    ] * 2
    assert {asked["headers"]["authorization"] for asked in portal.asked} == {"Bearer k-acme"}
