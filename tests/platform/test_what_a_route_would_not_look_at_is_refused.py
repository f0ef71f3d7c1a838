"""An unknown parameter, field or body is refused on every route with problem+json, one code and its name: never answered as if it were not there."""

from __future__ import annotations

import pytest
from fastapi.routing import APIRoute

from aurelius_platform.gateway.app import WAYS
from aurelius_platform.web import OPEN
from tests.platform.conftest import PASSWORD, Platform, log_in

BODIES = {"/login": {"username": "cleo", "password": PASSWORD}, "/ml/infer": {"study": "{id}"}, "/ml/jobs": {"studies": ["{id}"]}}  # fmt: skip
"""What a route that takes a body is given so that only the addition is wrong."""


def routes(platform: Platform) -> list[tuple[str, str]]:
    """Those for clients."""
    return [(method, path) for method, path in all_routes(platform) if path not in OPEN]


def all_routes(platform: Platform) -> list[tuple[str, str]]:
    return sorted(
        (method, route.path)
        for route in platform.gateway.routes
        if isinstance(route, APIRoute)
        for method in route.methods
    )


async def filled(client, path: str) -> str:
    study = (await client.get("/studies")).json()["results"][0]["id"]
    job = (await client.post("/ml/jobs", json={"studies": [study]})).json()["id"]
    return path.replace("{id}", job if path.startswith("/jobs/") else study).replace("{number}", "0")


async def body_of(client, path: str) -> dict | None:
    study = (await client.get("/studies")).json()["results"][0]["id"]
    given = BODIES.get(path)
    return given and {name: _put(value, study) for name, value in given.items()}


def _put(value, study):
    return [each.replace("{id}", study) for each in value] if isinstance(value, list) else value.replace("{id}", study)


async def test_every_route_refuses_an_unknown_parameter(platform: Platform) -> None:
    async with platform.running() as client:
        await log_in(client, "ada")
        for method, path in routes(platform):
            address, body = await filled(client, path), await body_of(client, path)
            words = {"q": "nodule"} if path == "/search" else {}
            right = await client.request(method, address, params=words, json=body)
            assert right.status_code in (200, 202) or right.json()["code"] == "no_thumbnail_yet", (method, path)
            wrong = await client.request(method, address, params={**words, "colour": "red"}, json=body)
            assert (wrong.status_code, wrong.headers["content-type"]) == (422, "application/problem+json"), path
            told = wrong.json()
            assert (told["code"], told["errors"]) == ("validation_error", [{"field": "colour", "detail": "There is no such parameter."}]), path  # fmt: skip
            assert "colour" in told["detail"]


async def test_every_route_refuses_a_body_or_field_that_it_does_not_take(platform: Platform) -> None:
    async with platform.running() as client:
        await log_in(client, "ada")
        for method, path in routes(platform):
            address, body = await filled(client, path), await body_of(client, path)
            words = {"q": "nodule"} if path == "/search" else {}
            wrong = await client.request(method, address, params=words, json={**(body or {}), "colour": "red"})
            assert (wrong.status_code, wrong.json()["code"]) == (422, "validation_error"), path
            assert [each["field"] for each in wrong.json()["errors"]] == ["colour" if body else "body"], path


@pytest.mark.parametrize(
    "path", ["/studies?modality=MR&modality=CT", "/studies?limit=1&limit=2", "/search?q=a&kind=keyword&kind=semantic"]
)
async def test_what_is_said_twice_is_refused(platform: Platform, path: str) -> None:
    async with platform.running() as client:
        await log_in(client)
        answer = await client.get(path)
    assert (answer.status_code, answer.json()["errors"][0]["detail"]) == (422, "It is given twice.")


@pytest.mark.parametrize("path", ["/healthz?probe=1", "/metrics?collect[]=http"])
async def test_balancers_and_scrapers_may_add_what_they_like(platform: Platform, path: str) -> None:
    async with platform.running() as client:
        assert (await client.get(path)).status_code == 200


async def test_a_slice_by_another_name_is_not_taken_for_the_first(platform: Platform) -> None:
    async with platform.running() as client:
        await log_in(client)
        study = (await client.get("/studies?modality=US")).json()["results"][0]["id"]
        answer = await client.post("/ml/infer", json={"study": study, "number": 1})
    assert (answer.status_code, answer.json()["errors"]) == (422, [{"field": "number", "detail": "There is no such field."}])  # fmt: skip


async def test_what_services_tell_each_other_is_not_for_users(platform: Platform) -> None:
    async with platform.running() as client:
        await log_in(client)
        study = (await client.get("/studies")).json()["results"][0]["id"]
        answer = await client.get(f"/studies/{study}/slices/0/tensor")
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"study": }', "body: It is not JSON: look at character 11."),
        (b"[]", "body: It is no JSON object."),
        (b"", "body: It is missing."),
    ],
)
async def test_a_body_that_is_none_says_how(platform: Platform, content: bytes, said: str) -> None:
    async with platform.running() as client:
        await log_in(client)
        answer = await client.post("/ml/infer", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["detail"]) == (422, said)


def test_the_page_of_the_platform_lists_every_route(platform: Platform) -> None:
    from infra.observability.as_code.known import ROOT

    page = (ROOT / "docs" / "platform.md").read_text(encoding="utf-8")
    told = {line.split("`")[1] for line in page.splitlines() if line.startswith(("| `GET ", "| `POST "))}
    assert told == {f"{method} {path}" for method, path in all_routes(platform) if path not in ("/metrics", "/openapi.json")}  # fmt: skip
    assert {f"{way.method} {way.path}" for way in WAYS} <= told
