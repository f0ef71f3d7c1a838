from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

ROOT = Path(__file__).resolve().parents[3]
UNTIL = "2026-05-04T07:00Z"


def totals() -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT slug, meter, sum(quantity_micro), count(*) FROM metering_usagerollup JOIN tenants_tenant tenant ON tenant.id = tenant_id"
            " GROUP BY 1, 2 ORDER BY 1, 2"
        )
        return cursor.fetchall()


def command(*words: str) -> list[str]:
    return [sys.executable, "manage.py", "simulate", "--months", "1", "--until", UNTIL, *words]


@pytest.mark.django_db(transaction=True)
def test_each_tenant_once_and_as_one_process_would(server_environment: dict[str, str], tmp_path: Path) -> None:
    def simulate(*words: str) -> str:
        run = subprocess.run(
            command(*words), cwd=ROOT, env=server_environment, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout

    told = simulate("--tenants", "8", "--workers", "2", "--truth", str(tmp_path / "truth.json"))
    assert "8/8 tenants" in told
    assert "tenant months are what they should be" in told
    shared_out = totals()
    assert len({slug for slug, *_ in shared_out}) == len(json.loads((tmp_path / "truth.json").read_text())) == 8
    simulate("--tenants", "8")  # in one process: nothing is left to do, and nothing changes
    assert totals() == shared_out


@pytest.mark.django_db(transaction=True)
def test_two_that_were_started_at_once_share_the_work(server_environment: dict[str, str]) -> None:
    both = [
        subprocess.Popen(
            command("--tenants", "8"), cwd=ROOT, env=server_environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _ in range(2)
    ]  # fmt: skip
    for told, code in [(each.communicate()[0], each.returncode) for each in both]:
        assert code == 0, told
        assert "tenant months are what they should be" in told
    assert len({slug for slug, *_ in totals()}) == 8
