"""A little traffic through the gateway, so that every panel has something to show. Ends with SIGTERM or Ctrl-C."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import httpx

PAUSE = 0.5  # seconds between two requests
JOBS_EVERY = 40  # requests
WORDS = ("pulmonary nodule", "acute infarct", "gallstones", "mass", "meniscus tear", "pleural effusion", "aneurysm")


def main() -> int:
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    logins = json.loads(Path(os.environ["PLATFORM_LOGINS"]).read_text())
    people = [row for row in logins if row["username"].startswith(("clinician", "admin"))]
    with httpx.Client(base_url=os.environ["PLATFORM_GATEWAY_URL"], timeout=10, trust_env=False) as client:
        turn = 0
        while not over.wait(PAUSE):
            try:
                _request(client, random.choice(people), turn)  # noqa: S311
            except httpx.HTTPError as error:
                print(f"{type(error).__name__}: {error}", flush=True)
            turn += 1
    return 0


_tokens: dict[str, str] = {}


def _request(client: httpx.Client, person: dict[str, Any], turn: int) -> None:
    name = person["username"]
    if name not in _tokens:
        answer = client.post("/login", json={"username": name, "password": person["password"]}).raise_for_status()
        _tokens[name] = answer.json()["token"]
    headers = {"Authorization": f"Bearer {_tokens[name]}"}
    answer = client.get("/studies", headers=headers)
    if answer.status_code == httpx.codes.UNAUTHORIZED:  # a token is good for eight hours, traffic goes on for days
        del _tokens[name]
    studies = answer.raise_for_status().json()["results"]
    study = random.choice(studies)["id"]  # noqa: S311
    kind = random.choice(("keyword", "filtered", "semantic"))  # noqa: S311
    filters = {"modality": "CT"} if kind == "filtered" else {}
    client.get("/search", params={"q": random.choice(WORDS), "kind": kind, **filters}, headers=headers)  # noqa: S311
    client.get(f"/studies/{study}/slices/0.png", headers=headers)
    client.post("/ml/infer", json={"study": study}, headers=headers)
    if turn % JOBS_EVERY == 0:
        client.post(f"/studies/{study}/thumbnails", headers=headers)
        client.post("/ml/jobs", json={"studies": [study]}, headers=headers)
        if name.startswith("admin"):
            client.post("/indexes/reports/jobs", params={"documents": 500}, headers=headers)


if __name__ == "__main__":
    sys.exit(main())
