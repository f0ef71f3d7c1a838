"""What the platform's demo asks of the machine: ports that are free, whether an address answers, a command run to its end."""

from __future__ import annotations

import os
import subprocess
import urllib.request
from pathlib import Path

from aurelius_platform.config import PORTS
from portal.demo.folder import DemoError
from portal.embedded import free_port, port_is_free

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
LEAVE_SECONDS = 10


def free_ports() -> dict[str, int]:
    """Known ports where they are free, others where they are not. Raises DemoError."""
    text = os.environ.get("PLATFORM_PORT") or str(PORTS["gateway"])
    highest = 65_535 - len(PORTS)
    if not text.isdecimal() or not 0 < int(text) <= highest:
        raise DemoError(f"PLATFORM_PORT={text!r} is no port: set it to a number from 1 to {highest}, or leave it out.")
    wanted = {name: int(text) + number for number, name in enumerate(PORTS)}
    return {name: port if port_is_free(port, HOST) else free_port() for name, port in wanted.items()}


def answers(url: str) -> bool:
    """Whether it says 200 within two seconds."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - our own address
            return bool(response.status == 200)
    except OSError:
        return False


def to_its_end(command: list[str], environment: dict[str, str]) -> int:
    """Run a command to its end; its exit status. It is ended, not killed, when we are: what it started is its own to stop."""
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(LEAVE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
