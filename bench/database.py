"""A private, durable PostgreSQL with the product's tables, and programs that measure inside Django against it.

Each measurement runs in a process of its own, so that Django's settings are its own:  python -m bench.database <module> <function> …
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from portal.embedded import PostgresServer

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def private_database() -> Iterator[dict[str, str]]:
    """Yields the environment of a process that works on a fresh, migrated database (fsync on, as in production)."""
    with (
        tempfile.TemporaryDirectory(prefix="aurelius-bench-") as folder,
        PostgresServer(Path(folder) / "postgres") as server,
    ):
        environment = {
            **os.environ,
            "PORTAL_ENV": "test",
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "SECRET_KEY": "benchmark-only-" + "x" * 50,
            "API_KEY_PEPPER": "benchmark-only-pepper-" + "y" * 40,
            "DATABASE_URL": server.url,
            "DATABASE_STATEMENT_TIMEOUT_MS": "600000",
            "ENFORCEMENT_REDIS_URL": "redis://127.0.0.1:1/0",
            "CACHE_REDIS_URL": "redis://127.0.0.1:1/1",
            "CELERY_BROKER_URL": "redis://127.0.0.1:1/2",
            "EMAIL_URL": "memorymail://",
        }
        migrate = [sys.executable, "-W", "ignore", "-m", "django", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, env=environment, cwd=ROOT, check=True)
        yield environment


def start(environment: dict[str, str], module: str, function: str, **arguments: Any) -> subprocess.Popen[str]:
    """Run `module.function(**arguments)` in a process of its own, with Django set up; its answer must be JSON."""
    command = [sys.executable, "-W", "ignore", "-m", "bench.database", module, function, json.dumps(arguments)]
    return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def answer(process: subprocess.Popen[str]) -> Any:
    """What the function returned. Raises when its process failed."""
    output, _ = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"a measurement failed with exit status {process.returncode}")
    return json.loads(output.splitlines()[-1])


def measure(environment: dict[str, str], module: str, function: str, **arguments: Any) -> Any:
    """`start` and `answer`."""
    return answer(start(environment, module, function, **arguments))


if __name__ == "__main__":
    import django

    django.setup()
    name, called, given = sys.argv[1:]
    print(json.dumps(getattr(importlib.import_module(name), called)(**json.loads(given))))
