"""No token, a forged one or an old one: 401 before the portal is asked. Passwords are not tried without end. Services answer the gateway only."""

from __future__ import annotations

import asyncio
import time

import pytest

from aurelius_platform.accounts import INTERNAL_SECONDS, TOKEN_SECONDS, Caller, Internal, Tokens
from aurelius_platform.gateway.sessions import FAILURE_SECONDS, FAILURES, MOST_WAITING, Doorkeeper
from tests.platform.conftest import PASSWORD, SECRET, Platform, log_in


@pytest.mark.parametrize(
    "authorization",
    [
        "", "Bearer", "Bearer x", "Bearer a.b", "Basic Y2xlbzpwYXNz",
        f"Bearer {Tokens('another secret').issue('cleo')}",
        f"Bearer {Tokens(SECRET).issue('nobody')}",
        f"Bearer {Tokens(SECRET).issue('cleo')}0",
        "Bearer gpk_test_cleo",
    ],
    ids=["none", "empty", "short", "two parts", "basic", "forged", "nobody's", "changed", "an API key"],
)  # fmt: skip
async def test_it_is_refused_before_the_portal_is_asked(platform: Platform, authorization: str) -> None:
    async with platform.client(platform.gateway) as client:
        answer = await client.get("/studies", headers={"Authorization": authorization})
    assert (answer.status_code, answer.json()["code"]) == (401, "not_logged_in")
    assert platform.portal.asked == []


async def test_a_token_that_is_over_says_so(platform: Platform) -> None:
    async with platform.client(platform.gateway) as client:
        answer = await client.get("/me", headers={"Authorization": f"Bearer {Tokens(SECRET).issue('cleo', now=0)}"})
        forged = await client.get("/me", headers={"Authorization": f"Bearer {Tokens('another secret').issue('cleo', now=0)}"})  # fmt: skip
    assert (answer.status_code, answer.json()["code"]) == (401, "token_expired")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert "POST /login" in answer.json()["detail"]
    assert forged.json()["code"] == "not_logged_in", "nothing is told about tokens that are not ours"
    assert platform.portal.asked == []


def test_a_token_is_good_for_eight_hours() -> None:
    tokens = Tokens(SECRET)
    token = tokens.issue("cleo", now=1_000)
    assert tokens.username(token, now=1_000 + TOKEN_SECONDS - 1) == "cleo"
    assert tokens.username(token, now=1_000 + TOKEN_SECONDS) is None


async def test_a_wrong_password_says_no_more_than_that(platform: Platform) -> None:
    async with platform.client(platform.gateway) as client:
        answers = [
            await client.post("/login", json={"username": name, "password": "guess"}) for name in ("cleo", "nobody")
        ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(401, "wrong_credentials")] * 2
    assert answers[0].json() == answers[1].json()


def test_a_name_has_to_wait_after_wrong_passwords() -> None:
    now = 100.0
    door = Doorkeeper(lambda: now)
    for _ in range(FAILURES):
        assert door.wait("cleo") == 0
        door.failed("cleo")
    assert door.wait("cleo") == FAILURE_SECONDS
    assert door.wait("ada") == 0
    now += FAILURE_SECONDS
    assert door.wait("cleo") == 0


async def test_too_many_logins_say_when_to_try_again(platform: Platform) -> None:
    async with platform.client(platform.gateway) as client:
        tried = {"username": "cleo", "password": "guess"}
        answers = [await client.post("/login", json=tried) for _ in range(FAILURES + 1)]
    assert [answer.status_code for answer in answers] == [401] * FAILURES + [429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= FAILURE_SECONDS


async def test_many_tries_at_once_are_no_way_around_it(platform: Platform) -> None:
    async with platform.client(platform.gateway) as client:
        tried = {"username": "cleo", "password": "guess"}
        answers = await asyncio.gather(*(client.post("/login", json=tried) for _ in range(4 * FAILURES)))
        assert sorted(answer.status_code for answer in answers) == [401] * FAILURES + [429] * 3 * FAILURES
        others = {"username": "ada", "password": PASSWORD}
        answers = await asyncio.gather(*(client.post("/login", json=others) for _ in range(2 * FAILURES)))
        assert {answer.status_code for answer in answers} == {200}


async def test_a_flood_of_logins_is_turned_away_and_does_not_wait(platform: Platform) -> None:
    async with platform.client(platform.gateway) as client:
        tried = [client.post("/login", json={"username": f"u{n}", "password": "guess"}) for n in range(MOST_WAITING + 20)]  # fmt: skip
        answers = await asyncio.gather(*tried)
        assert sorted(answer.status_code for answer in answers) == [401] * MOST_WAITING + [503] * 20
        busy = next(answer for answer in answers if answer.status_code == 503)
        assert (busy.json()["code"], "retry-after" in busy.headers) == ("too_many_at_once", True)
        assert (await log_in(client)).headers["authorization"], "afterwards people come in again"


def test_what_services_tell_each_other_is_of_no_use_later() -> None:
    cleo, internal = Caller("riverside", "cleo", "mammography"), Internal(SECRET)
    header = internal.header(cleo)[Internal.HEADER]
    assert internal.caller(header) == cleo
    assert internal.caller(header, time.time() + INTERNAL_SECONDS + 1) is None


async def test_services_answer_the_gateway_only(platform: Platform) -> None:
    forged = Internal("another secret").header(Caller("riverside", "cleo", "mammography"))
    for app, path in ((platform.imaging, "/studies"), (platform.search, "/search?q=nodule"), (platform.ml, "/jobs/1")):
        async with platform.client(app) as client:
            for headers in ({}, forged, {Internal.HEADER: Tokens(SECRET).issue("cleo")}):
                assert (await client.get(path, headers=headers)).status_code == 401
            assert (await client.get("/healthz")).json()["status"] == "ok"
