"""Child processes that read a driver's library, so that one that hangs or crashes costs a child, not a worker.

A child answers each line on its standard input with one line of JSON, and stays for the next question: loading a driver library costs more
than reading it. It is left at the deadline, and it is replaced when its environment changed, when it is old, and after every answer
that was not a clean one: a library that has lost its driver or a GPU seldom finds them again.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import select
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

PASSED_ON = re.compile(r"^(PATH|LD_LIBRARY_PATH|LANG|LC_\w+|TMPDIR|(NVIDIA|CUDA|NVML|AMD|AMDSMI|ROCM|HIP|ROCR)_\w+)$")
"""Environment of a probe: what a driver library may need, and none of the portal's secrets."""
OLD_AFTER = 3600.0
LONGEST_ANSWER = 64 * 2**20

_probes: dict[tuple[Path, str], Probe] = {}
_guard = threading.Lock()


def ask(script: Path, timeout: float, *, path: str = "") -> dict[str, Any]:
    """What `script` answers within `timeout` seconds, or {"unavailable": reason}. `path` is put before the child's module search path."""
    with _guard:
        probe = _probes.setdefault((script, path), Probe(script, path))
    return probe.ask(timeout)


class Probe:
    """One child and its replacements. One question at a time."""

    def __init__(self, script: Path, path: str = "") -> None:
        self.script, self.path = script, path
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._environment: dict[str, str] = {}
        self._started = 0.0
        atexit.register(self.stop)

    def ask(self, timeout: float) -> dict[str, Any]:
        """See the function `ask`."""
        until = time.monotonic() + max(0.1, timeout)
        if not self._lock.acquire(timeout=max(0.1, timeout)):
            return {"unavailable": f"{self._name()} is still busy with the question before."}
        try:
            child = self._ready()
            answer = self._exchange(child, until, timeout)
            if "unavailable" in answer or any("error" in device for device in answer.get("devices", ())):
                self.stop()
            return answer
        finally:
            self._lock.release()

    def stop(self) -> None:
        """End the child. Stuck inside the driver, not even a kill ends it at once; it is not waited for then."""
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=1)

    def _ready(self) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if PASSED_ON.match(name)}
        if self.path:
            environment["PYTHONPATH"] = self.path
        child = self._child
        stale = environment != self._environment or time.monotonic() - self._started > OLD_AFTER
        if child is not None and (stale or child.poll() is not None):
            self.stop()
            child = None
        if child is None:
            if self._errors is not None:
                self._errors.close()
            self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the child; a pipe would fill up)
            child = subprocess.Popen(
                [sys.executable, str(self.script)],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                bufsize=0,
            )
            self._child, self._environment, self._started = child, environment, time.monotonic()
        return child

    def _exchange(self, child: subprocess.Popen[bytes], until: float, timeout: float) -> dict[str, Any]:
        assert child.stdin is not None and child.stdout is not None  # noqa: S101, PT018
        with contextlib.suppress(BrokenPipeError):  # then it has ended, which reading finds out
            child.stdin.write(b"\n")
        line = bytearray()
        while not line.endswith(b"\n"):
            readable, _, _ = select.select([child.stdout], [], [], max(0.0, until - time.monotonic()))
            if not readable:
                return {"unavailable": f"{self._name()} did not answer within {timeout:.0f} s."}
            part = os.read(child.stdout.fileno(), 2**20)
            if not part:
                return {"unavailable": self._ended(child)}
            line += part
            if len(line) > LONGEST_ANSWER:
                return {"unavailable": f"{self._name()} answers without end."}
        try:
            document = json.loads(line)
        except ValueError:
            document = None
        return document if isinstance(document, dict) else {"unavailable": f"{self._name()} answered what is not JSON."}

    def _ended(self, child: subprocess.Popen[bytes]) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=1)
        last = ["no message"]
        if self._errors is not None:
            self._errors.seek(0, os.SEEK_END)
            self._errors.seek(max(0, self._errors.tell() - 4000))
            last = self._errors.read().decode(errors="replace").strip().splitlines()[-1:] or last
        return f"{self._name()} ended with status {child.returncode}: {last[0][:200]}"

    def _name(self) -> str:
        return f"The {self.script.stem.replace('_probe', '').upper()} probe"
