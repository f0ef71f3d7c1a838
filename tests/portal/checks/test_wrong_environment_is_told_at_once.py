from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def check(**environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_bare_environment_is_told_everything_that_is_missing() -> None:
    told = check()
    assert told.returncode == 1
    assert "Traceback" not in told.stderr
    assert told.stderr.startswith("portal.E000")
    for name in ("SECRET_KEY", "API_KEY_PEPPER", "DATABASE_URL", "ENFORCEMENT_REDIS_URL", "CACHE_REDIS_URL"):
        assert f"Set the environment variable {name} " in told.stderr


def test_wrong_values_are_told_together_and_with_what_to_set() -> None:
    needed = ("SECRET_KEY", "API_KEY_PEPPER", "ENFORCEMENT_REDIS_URL", "CACHE_REDIS_URL", "CELERY_BROKER_URL")
    told = check(
        **dict.fromkeys(needed, "x"),
        DATABASE_URL="mysql://root@localhost/portal",
        EMAIL_URL="carrier-pigeon://roof",
        COLLECTORS="{bad",
        ENFORCEMENT_TIMEOUT_MS="soon",
        DATABASE_POOL_SIZE="0",
    )
    assert told.returncode == 1
    assert "Traceback" not in told.stderr
    for sentence in (
        "DATABASE_URL is not a PostgreSQL address",
        "EMAIL_URL is not a mail server's address",
        "COLLECTORS is not valid JSON",
        "ENFORCEMENT_TIMEOUT_MS='soon' is not a whole number",
        "DATABASE_POOL_SIZE=0: the least is 1",
    ):
        assert sentence in told.stderr
