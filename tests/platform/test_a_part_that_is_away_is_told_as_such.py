"""A service, queue or file that is away or slow: a problem with a code of its own, when to try again, and nothing of what lies inside."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import numpy as np
import pytest
from aurelius import Unavailable
from kombu.exceptions import OperationalError

from aurelius_platform.accounts import Caller
from aurelius_platform.gateway import app as gateway
from aurelius_platform.imaging import rendering
from aurelius_platform.imaging.catalogue import Catalogue
from aurelius_platform.jobs import Jobs
from aurelius_platform.search.vectors import Space
from aurelius_platform.upstream import TIMEOUT, Upstream
from aurelius_platform.workshop import Workshop
from tests.platform.conftest import Platform, config, log_in

CLEO = Caller("riverside", "cleo", "mammography")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (httpx.ConnectError("[Errno 111] Connection refused"), 502, "service_unavailable"),
        (httpx.ReadTimeout("slow"), 504, "service_timeout"),
        (httpx.RemoteProtocolError("Server disconnected"), 502, "service_unavailable"),
    ],
)
async def test_a_service_that_does_not_answer(platform: Platform, error: httpx.HTTPError, status: int, code: str) -> None:  # fmt: skip
    def broken(request: httpx.Request) -> httpx.Response:
        raise error

    peers = {
        name: Upstream(config("gateway", platform.data), name, httpx.MockTransport(broken))
        for name in ("imaging", "search", "ml")
    }
    front = gateway.create(config("gateway", platform.data), platform.portal, peers)
    async with platform.client(front) as client:
        await log_in(client, "ada")
        answer = await client.get("/search?q=nodule")
        services = await client.get("/services")
    told = answer.json()
    assert (answer.status_code, told["code"], answer.headers["retry-after"]) == (status, code, str(told["retry_after"]))
    assert "search" in told["detail"]
    assert "try again" in told["detail"]
    assert "Error" not in answer.text
    assert "Errno" not in answer.text
    assert services.json() == dict.fromkeys(("imaging", "search", "ml"), "away")


def test_nobody_waits_for_a_hanging_service_longer_than_a_client_does() -> None:
    assert TIMEOUT.read is not None
    assert TIMEOUT.read <= 10


class Broken:
    """A queue whose Redis is away."""

    def send_task(self, name: str, arguments: list[str]) -> None:
        raise OperationalError("Error 111 connecting to 127.0.0.1:6379. Connection refused.")


async def test_a_job_that_cannot_be_queued_is_not_left_waiting(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    platform = Platform(built)
    monkeypatch.setattr(platform.queue, "send_task", Broken().send_task)
    kept: list[str] = []
    add = Jobs.add
    monkeypatch.setattr(Jobs, "add", lambda *given, **more: (job := add(*given, **more), kept.append(job.id))[0])
    async with platform.running() as client:
        await log_in(client, "ada")
        study = (await client.get("/studies")).json()["results"][0]["id"]
        answers = [
            await client.post(f"/studies/{study}/thumbnails"),
            await client.post("/ml/jobs", json={"studies": [study]}),
            await client.post("/indexes/reports/jobs?documents=50"),
        ]
    for answer in answers:
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "queue_unavailable", "5")  # fmt: skip
        assert "6379" not in answer.text
    jobs = Jobs(built / "jobs.sqlite")
    assert [(job.state, job.result["code"]) for job in map(jobs.get, kept)] == [("failed", "queue_unavailable")] * 3


@pytest.fixture
def workshop(built: Path, tmp_path: Path) -> Workshop:
    for name in ("catalogue.json", "modality-1.onnx", "accounts.json"):
        (tmp_path / name).write_bytes((built / name).read_bytes())
    return Workshop(config("worker", tmp_path))


def test_a_job_that_is_tried_again_has_not_failed(workshop: Workshop) -> None:
    def without_portal(*_: object) -> dict[str, object]:
        raise Unavailable("POST http://10.0.0.7/api/v1/reservations: <urlopen error [Errno 111] Connection refused>")

    job = workshop.jobs.add("infer", CLEO, "0" * 12)
    for last, state in ((False, "queued"), (True, "failed")):
        with pytest.raises(Unavailable):
            workshop.run(job.id, without_portal, last=last)
        found = workshop.jobs.get(job.id)
        assert (found.state, found.result["code"]) == (state, "portal_unavailable")
        assert "10.0.0.7" not in json.dumps(found.shown())


def test_a_job_says_why_it_failed_in_codes_of_its_own(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    study = workshop.catalogue.studies[0]
    monkeypatch.setattr("aurelius_platform.imaging.rendering.folder", lambda: workshop.config.data)  # files are gone
    for kind, subject, code in (("infer", "0" * 12, "no_such_study"), ("infer", study.id, "picture_unreadable"), ("thumbnails", study.id, "picture_unreadable")):  # fmt: skip
        rendering.decoded.cache_clear()
        rendering.tensor.cache_clear()
        job = workshop.jobs.add(kind, CLEO, subject)
        with pytest.raises((LookupError, rendering.UnreadableError)):
            workshop.run(job.id, getattr(workshop, kind))
        assert (workshop.jobs.get(job.id).state, workshop.jobs.get(job.id).result["code"]) == ("failed", code)
    job = workshop.jobs.add("infer", CLEO, study.id)
    with pytest.raises(ZeroDivisionError):
        workshop.run(job.id, lambda *_: 1 / 0)  # type: ignore[arg-type, return-value]
    assert workshop.jobs.get(job.id).result["code"] == "internal_error"


async def test_a_picture_whose_file_is_broken_is_a_problem(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    async with platform.running() as client:
        await log_in(client)
        study = (await client.get("/studies")).json()["results"][0]["id"]
        for file in {each.file for each in _slices(platform, study)}:  # the file is there, and is no DICOM
            (tmp_path / file).write_bytes(b"\0" * 128 + b"DICM" + b"garbage" * 99)
        monkeypatch.setattr(rendering, "folder", lambda: tmp_path)
        rendering.decoded.cache_clear()
        answer = await client.get(f"/studies/{study}/slices/0.png")
    rendering.decoded.cache_clear()
    assert (answer.status_code, answer.json()["code"]) == (500, "picture_unreadable")


def _slices(platform: Platform, study: str):
    return Catalogue.load(platform.data / "catalogue.json").get(study).slices


async def test_what_nobody_foresaw_is_a_problem_too(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "_state", lambda *_: 1 / 0)
    transport = httpx.ASGITransport(platform.gateway, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://platform") as client:
        await log_in(client, "ada")
        answer = await client.get("/services")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert (answer.json()["code"], answer.json()["title"]) == ("internal_error", "Internal error")
    assert "ZeroDivision" not in answer.text


def test_words_that_no_document_knows_find_none_by_meaning() -> None:
    space = Space.of(["a nodule of the lung", "a cyst of the liver", "a torn meniscus of the knee"], [1, 2, 3])
    assert next(document for document, _ in space.nearest("nodule lung", 3)) == 1
    assert not np.any(space.vector("zzzz qqqq"))
    assert space.nearest("zzzz qqqq", 3) == []
