"""Whoever copies a call out of docs/api-reference.md, docs/api.md or the README gets what it says: nothing in it is wrong or out of date."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from tests.portal.api.calling import Api, Callers

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime.now(UTC)
SHELL = {
    "$NOW": f"{NOW:%FT%TZ}",
    "$SOON": f"{NOW + timedelta(weeks=2):%FT%H:00:00Z}",
    "$(date -u +%FT%TZ)": f"{NOW:%FT%TZ}",
    "$(date -u -d '+2 weeks' +%FT%TZ)": f"{NOW + timedelta(weeks=2):%FT%TZ}",
}
OF_A_TENANT = ("/reservations", "/estimates", "/events")
"""What only a tenant's own key may call."""
PLACEHOLDER = re.compile(r"/(\w+_id|document\.kind|[0-9a-f-]{36}|abcdefgh23456723|dry-run)\b")


@dataclass(frozen=True)
class Example:
    """A curl of a document."""

    where: str
    method: str
    path: str
    headers: dict[str, str]
    body: str | None


def examples(page: str) -> Iterator[Example]:
    text = (ROOT / page).read_text()
    for block in re.findall(r"```sh\n(.*?)```", text, re.S):
        for call in re.split(r"\n(?=curl )", block):
            if call.startswith("curl ") and "/api/v1/" in call:
                yield _example(page, call)


def _example(page: str, call: str) -> Example:
    for name, value in {**SHELL, "\\\n": " "}.items():
        call = call.replace(name, value)
    words = iter(shlex.split(call, comments=True)[1:])
    method, url, headers, body = "", "", {}, None
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = next(words)
        elif not word.startswith("-"):
            url = word
    path = url.partition("/api/v1/")[2]
    return Example(page, method or ("POST" if body else "GET"), path, headers, body)


def perform(caller: Api, example: Example) -> tuple[int, Any]:
    headers = {name: value for name, value in example.headers.items() if name != "Authorization"}
    kind = headers.pop("Content-Type", "application/json")
    body = example.body.encode() if example.body is not None else None
    answer = caller.send(example.method, example.path, body, content_type=kind, **headers)
    if answer.streaming or answer.get("Content-Type", "").partition(";")[0] not in (
        "application/json",
        "application/problem+json",
    ):
        return answer.status_code, {}
    return answer.status_code, json.loads(answer.content)


@pytest.mark.parametrize("page", ["docs/api-reference.md", "docs/api.md", "README.md"])
def test_every_call_is_taken(callers: Callers, page: str) -> None:
    operator, tenant = callers.token(), callers.key()
    found = list(examples(page))
    assert len(found) > {"docs/api-reference.md": 80, "docs/api.md": 1, "README.md": 1}[page]
    refused = []
    for example in found:
        own = f"/{example.path}".startswith(OF_A_TENANT)
        point = transaction.savepoint()
        status, answer = perform(tenant if own else operator, example)
        transaction.savepoint_rollback(point)
        unknown = status == 404 and PLACEHOLDER.search(f"/{example.path}")  # an id that only the reader can know
        state = (
            status == 409 and answer.get("code") == "conflict" and "/versions/1" in example.path
        )  # published already
        if status not in (200, 201, 202, 204) and not unknown and not state:
            refused.append((example.method, example.path, status, answer))
    assert not refused, "\n".join(map(str, refused))


def test_no_two_examples_conflict_by_their_key() -> None:
    keys = [example.headers.get("Idempotency-Key") for example in examples("docs/api-reference.md")]
    given = [key for key in keys if key]
    assert len(given) == len(set(given)) > 40
