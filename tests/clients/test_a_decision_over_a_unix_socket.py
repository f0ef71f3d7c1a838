from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from portal.embedded import free_port
from tests.clients.conftest import PACKAGE
from tests.clients.serving import program, wait_until
from tests.tenants.enforcement.stage import Stage

SERVER = """
import asyncio, sys, uvicorn
module, path, port = sys.argv[1:]
async def main():
    places = [{"uds": path}, {"port": int(port)}]
    await asyncio.gather(*(uvicorn.Server(uvicorn.Config(module, log_level="error", lifespan="off", **each)).serve() for each in places))
asyncio.run(main())
"""
CLIENT = """
import asyncio, sys
from aurelius import AsyncHttpDecider, HttpDecider
url, key = sys.argv[1:]
with HttpDecider(url, timeout=30) as decider:
    print(decider.consume(key).left)
async def ask():
    async with AsyncHttpDecider(url, timeout=30) as decider:
        await decider.consume(key)
        print((await decider.consume(key)).left)
asyncio.run(ask())
"""


def test_both_forms_ask_through_it(stage: Stage, tmp_path: Path) -> None:
    stage.tenant()
    key, path, port = stage.key().decode(), tmp_path / "d.sock", free_port()
    server = [sys.executable, "-c", SERVER, "tests.tenants.enforcement.served_endpoint:app", str(path), str(port)]
    with program(*server, port=port, STAGE_REDIS_URL=stage.url):
        wait_until(path.exists, "no socket")
        # In a process of its own: the tests themselves may open no unix sockets.
        client = [sys.executable, "-c", CLIENT, f"unix://{path}", key]
        told = subprocess.run(client, env={**os.environ, "PYTHONPATH": str(PACKAGE)}, capture_output=True, text=True)
    assert (told.stdout.split(), told.stderr) == (["59", "57"], "")
