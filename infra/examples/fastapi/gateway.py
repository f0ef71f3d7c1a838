"""A FastAPI gateway that asks the portal before every request, and reports what a request used.

    pip install ./clients/python fastapi granian
    DECISION_URL=http://decision:9000 AURELIUS_URL=https://portal.example.org AURELIUS_API_KEY_FILE=/run/secrets/aurelius \\
        granian --interface asgi gateway:app

Tested as it is: tests/clients/test_the_fastapi_recipe.py runs this very file.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from aurelius import AsyncHttpDecider, Events, Spool
from aurelius.middleware import AureliusMiddleware, Caller, Route
from fastapi import Depends, FastAPI, Request

# http://…, or unix:///run/decision.sock when the endpoint runs on this machine: that spares the TCP.
decider = AsyncHttpDecider(os.environ["DECISION_URL"])

# Events wait on disk until the portal has them; each worker process has a folder of its own below this one.
spool = Spool.free(os.environ.get("SPOOL", "/var/lib/gateway/spool"))
# The portal books an event for the tenant of the key that sends it, so a gateway of many tenants has a key of each: {"acme": "gpk_…"}.
keys = json.loads(Path(os.environ["TENANT_KEYS"]).read_text()) if "TENANT_KEYS" in os.environ else None
events = Events(source="/gateway/eu1", spool=spool, key_of=keys)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """On the way out: send what waits (what does not get through stays in the spool), close the connections."""
    yield
    events.close()
    await decider.close()


app = FastAPI(lifespan=lifespan)
app.add_middleware(
    AureliusMiddleware,
    decider=decider,
    events=events,
    # The class is weighed by the portal (ENFORCEMENT_ROUTE_CLASSES), the cost here; both multiply.
    routes=[Route("/search", route_class="search"), Route("/ml", cost=2)],
    skip=["/healthz"],
    fail="deny",
)


def caller_of(request: Request) -> Caller:
    """Who the request acts for."""
    found: Caller = request.scope["aurelius"]
    return found


Who = Annotated[Caller, Depends(caller_of)]


@app.get("/healthz")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/studies/{number}")
async def study(number: int, caller: Who) -> dict[str, object]:
    return {"id": number, "tenant": caller.tenant, "user": caller.subject}


@app.get("/search")
async def search(q: str) -> dict[str, object]:
    return {"q": q, "results": []}


@app.post("/ml/{model}")
async def infer(model: str, caller: Who, project: str | None = None) -> dict[str, str]:
    started = time.perf_counter()
    verdict = "benign"  # here the model runs
    seconds = time.perf_counter() - started
    caller.record("gpu_seconds", f"{seconds:.6f}", model=model, project=project)
    return {"verdict": verdict}
