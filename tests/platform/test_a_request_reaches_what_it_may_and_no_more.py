"""What users send stays under its prefix, within its size, and is answered as problem+json that repeats nothing of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aurelius_platform.web import MOST_BODY
from tests.platform.conftest import Platform, log_in

HIDDEN = (
    "/ml/metrics", "/ml/healthz", "/ml/openapi.json", "/ml/%2e%2e/metrics", "/studies/%2e%2e/metrics", "/studies/..%2fhealthz",
    "/ml//metrics", "/studies/x%2f%2e%2e%2f%2e%2e%2fmetrics",
)  # fmt: skip


@pytest.mark.parametrize("path", HIDDEN)
async def test_what_services_show_their_operators_is_not_for_users(platform: Platform, path: str) -> None:
    async with platform.running() as client:
        await log_in(client)
        answer = await client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_question_mark_in_a_path_begins_no_query(platform: Platform) -> None:
    async with platform.running() as client:
        await log_in(client)
        study = (await client.get("/studies?modality=CT")).json()["results"][0]["id"]
        answer = await client.get(f"/studies/{study}%3Flimit=1")
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "code"),
    [
        ("POST", "/ml/infer", b"{", 422, "validation_error"),
        ("POST", "/ml/infer", b"[" * 100_000, 400, "malformed"),
        ("POST", "/ml/infer", b'{"study": "../x"}', 422, "validation_error"),
        ("POST", "/ml/infer", b" " * (MOST_BODY + 1), 413, "too_large"),
        ("GET", "/search?q=&kind=keyword", b"", 422, "validation_error"),
        ("GET", "/search?q=nodule&kind=keyword&modality=CT", b"", 422, "validation_error"),
        ("GET", "/search?q=nodule&kind=semantic&since=2020", b"", 422, "validation_error"),
        ("GET", "/search?q=nodule&colour=red", b"", 422, "validation_error"),
        ("GET", "/search?q=nodule&q=cyst", b"", 422, "validation_error"),
        ("GET", "/studies/x/slices/0.png?center=inf&width=1e400", b"", 422, "validation_error"),
        ("GET", "/nowhere", b"", 404, "not_found"),
        ("GET", "/studies/", b"", 404, "not_found"),
        ("GET", f"/studies/{'a' * 20_000}", b"", 414, "uri_too_long"),
        ("GET", f"/search?q={'a' * 20_000}", b"", 414, "uri_too_long"),
        ("POST", "/ml/infer", b"[]", 422, "validation_error"),
        ("POST", "/ml/jobs", b'{"studies": ["000000000000"]}', 404, "no_such_study"),
        ("DELETE", "/studies", b"", 405, "method_not_allowed"),
    ],
)
async def test_every_error_is_a_problem(
    platform: Platform, method: str, path: str, content: bytes, status: int, code: str
) -> None:
    async with platform.running() as client:
        await log_in(client)
        answer = await client.request(method, path, content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert (answer.json()["status"], answer.json()["code"]) == (status, code)
    assert answer.json()["detail"]


async def test_a_body_without_a_length_is_bounded_too(platform: Platform) -> None:
    taken = 0

    async def endless():
        nonlocal taken
        for _ in range(10 * MOST_BODY // 65_536):
            taken += 65_536
            yield b" " * 65_536

    async with platform.running() as client:
        await log_in(client)
        answer = await client.post("/ml/infer", content=endless(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert taken <= MOST_BODY + 2 * 65_536, "it is refused before it lies in memory, not after"


async def test_what_was_given_is_not_repeated(platform: Platform) -> None:
    async with platform.client(platform.gateway) as client:
        answer = await client.post("/login", json={"username": "cleo", "password": "hunter2" * 100})
    assert answer.status_code == 422
    assert "hunter2" not in answer.text
    assert answer.json()["errors"][0]["field"] == "password"


async def test_half_a_character_is_no_text(platform: Platform) -> None:
    content = json.dumps({"username": "cl\x00eo", "password": "\ud800"}).encode()
    async with platform.client(platform.gateway) as client:
        answer = await client.post("/login", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")


async def test_metrics_are_for_who_has_the_token(built: Path) -> None:
    platform = Platform(built, metrics_token="let-me-see")
    async with platform.client(platform.gateway) as client:
        told = [
            (await client.get("/metrics", headers=headers)).status_code
            for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Bearer let-me-see"})
        ]
    assert told == [401, 401, 200]


async def test_a_search_says_which_parameters_it_would_not_look_at(platform: Platform) -> None:
    async with platform.running() as client:
        await log_in(client)
        answer = await client.get("/search?q=nodule&kind=keyword&modality=CT&since=2020")
        assert [each["field"] for each in answer.json()["errors"]] == ["modality", "since"]
        assert "kind=filtered" in answer.json()["detail"]
        assert [each["field"] for each in (await client.get("/search?q=nodule&color=red")).json()["errors"]] == [
            "color"
        ]
        for good in (
            "kind=filtered&modality=CT&body_part=chest&since=2020",
            "kind=filtered",
            "kind=semantic&limit=5",
            "modality=",
        ):
            assert (await client.get(f"/search?q=nodule&{good}")).status_code == 200, good
