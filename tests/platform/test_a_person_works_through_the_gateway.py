"""Login, studies, pictures, three kinds of search, inference and jobs: all through the gateway, each decided by the portal in its class."""

from __future__ import annotations

import io

import pytest
from kombu.exceptions import OperationalError
from PIL import Image

from aurelius_platform.jobs import Jobs
from tests.platform.conftest import Platform, log_in


async def test_a_day_at_work(platform: Platform) -> None:
    async with platform.running() as client:
        await log_in(client)
        studies = (await client.get("/studies", params={"modality": "CT"})).json()["results"]
        assert studies
        assert {study["modality"] for study in studies} == {"CT"}
        id = studies[0]["id"]
        assert (await client.get(f"/studies/{id}")).json() == studies[0]
        picture = await client.get(f"/studies/{id}/slices/0.png")
        assert picture.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(picture.content)).format == "PNG"
        inferred = (await client.post("/ml/infer", json={"study": id})).json()
        assert inferred["label"] in inferred["probabilities"]
        assert sum(inferred["probabilities"].values()) == pytest.approx(1, abs=1e-3)
        for kind in ("keyword", "filtered", "semantic"):
            answer = (await client.get("/search", params={"q": "pulmonary nodule", "kind": kind})).json()
            assert (answer["kind"], answer["count"] > 0) == (kind, True)
    assert [asked["route_class"] for asked in platform.portal.asked] == ["imaging"] * 3 + ["ml"] + ["search"] * 3
    assert {asked["authorization"] for asked in platform.portal.asked} == {"Bearer gpk_test_cleo"}


async def test_jobs_are_queued_and_seen_by_their_tenant_only(platform: Platform) -> None:
    async with platform.running() as client:
        await log_in(client)
        found = next(each for each in (await client.get("/studies")).json()["results"] if each["slices"] > 1)
        study = found["id"]
        jobs = [
            ("imaging", await client.post(f"/studies/{study}/thumbnails")),
            ("ml", await client.post("/ml/jobs", json={"studies": [study]})),
        ]
        for service, answer in jobs:
            assert answer.status_code == 202
            assert answer.json()["expected"] == found["slices"], "what progress will be told of"
            seen = await client.get(f"/jobs/{service}/{answer.json()['id']}")
            assert seen.json()["state"] == "queued"
        await log_in(client, "lars")
        for service, answer in jobs:
            assert (await client.get(f"/jobs/{service}/{answer.json()['id']}")).status_code == 404
    assert platform.queue.sent == [
        ("platform.thumbnails", jobs[0][1].json()["id"]),
        ("platform.infer", jobs[1][1].json()["id"]),
    ]


async def test_a_job_that_cannot_be_queued_has_failed_and_says_so(platform: Platform) -> None:
    def away(name: str, arguments: list[str]) -> None:
        raise OperationalError("nobody listens")

    platform.queue.send_task = away  # type: ignore[method-assign]
    async with platform.running() as client:
        await log_in(client)
        study = (await client.get("/studies")).json()["results"][0]["id"]
        answer = await client.post(f"/studies/{study}/thumbnails")
    assert (answer.status_code, answer.json()["code"]) == (503, "queue_unavailable")
    (job,) = (each for each in Jobs(platform.data / "jobs.sqlite").latest("thumbnails") if each.subject == study)
    assert (job.state, job.result["code"]) == ("failed", "queue_unavailable")


async def test_indexing_and_the_services_state_are_for_admins(platform: Platform) -> None:
    async with platform.running() as client:
        await log_in(client)
        assert (await client.get("/services")).json()["code"] == "role_required"
        assert (await client.post("/indexes/reports/jobs")).status_code == 403
        await log_in(client, "ada")
        assert (await client.get("/services")).json() == {"imaging": "ok", "search": "ok", "ml": "ok"}
        assert (await client.post("/indexes/reports/jobs?documents=50")).json()["expected"] == 50


async def test_what_does_not_exist_is_not_found(platform: Platform) -> None:
    async with platform.running() as client:
        await log_in(client)
        for path in ("/studies/000000000000", "/studies/000000000000/slices/0.png", "/jobs/billing/1", "/jobs/ml/1"):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
        assert (await client.post("/ml/infer", json={"study": "000000000000"})).status_code == 404
        assert (await client.post("/ml/infer", json={"study": "../secret"})).status_code == 422
