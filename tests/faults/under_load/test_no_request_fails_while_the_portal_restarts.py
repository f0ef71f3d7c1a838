"""Web processes and decision endpoints are restarted one at a time behind a real nginx (the recipe's own file): no request fails."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from portal.embedded import free_port
from tests.faults.under_load.house import ROOT, SEED, House, Load, status, until

RECIPE = ROOT / "infra" / "examples" / "rolling" / "nginx.conf"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed (Debian: apt install nginx-light)"),
]


@contextmanager
def nginx(folder: Path, ports: dict[int, int]) -> Iterator[None]:
    """Debian's nginx with the recipe as it is, on other ports."""
    text = re.sub(r"127\.0\.0\.1:(\d+)", lambda found: f"127.0.0.1:{ports[int(found[1])]}", RECIPE.read_text())
    (folder / "recipe.conf").write_text(text)
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"pid {folder}/pid; error_log {folder}/error.log; worker_processes 1; daemon off;\n"
        f"events {{ worker_connections 512; }}\nhttp {{ access_log off; {temporary} include {folder}/recipe.conf; }}\n"
    )
    process = subprocess.Popen([str(NGINX), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")])
    try:
        until(lambda: status(ports[8000], "/healthz") == 200, "nginx does not answer")
        yield
    finally:
        process.terminate()
        process.wait(20)


def test_restarted_one_at_a_time(whole: House, tmp_path: Path) -> None:
    key = whole.ask(SEED)
    ports = {each: free_port() for each in (8000, 8001, 8002, 9000, 9001, 9002)}
    start = {8001: whole.web, 8002: whole.web, 9001: whole.decision, 9002: whole.decision}
    running = {each: start[each](ports[each]) for each in start}
    load = Load(key, web=ports[8000], decision=ports[9000])
    with nginx(tmp_path, ports), load.running():
        for each in start:
            load.until_more(batches=4, admitted=40)
            os.killpg(running[each].pid, signal.SIGTERM)  # to all of the service's processes, as systemd does
            running[each].wait(60)
            load.until_more(batches=4, admitted=40)  # the other one answers for both
            running[each] = start[each](ports[each])
        load.until_more(batches=4, admitted=40)
    found = whole.judge(load, "portal and decision endpoint restarted one at a time")
    assert (found["lost"], found["double"]) == (0, 0)
    assert (found["refused"], found["broken"], found["retried"]) == (0, 0, 0), load.failures
