"""What a load test cannot do is said in a sentence before anything starts, and what was not measured is no objective met."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.observability.as_code.known import ROOT
from infra.observability.run_load import SettingError, Settings
from portal.embedded import free_port

BIN = Path(sys.executable).parent
LOAD = ROOT / "infra" / "observability"
K6 = [str(BIN / "k6"), "run", "--quiet", "--no-usage-report", "-e", "LOAD_SECONDS=1"]


def run(command: list[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {name: value for name, value in os.environ.items() if not name.startswith(("PLATFORM_", "LOAD_"))}
    return subprocess.run(
        command, cwd=cwd, env={**given, **environment}, capture_output=True, text=True, timeout=120, check=False
    )


def test_settings_are_read(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    given = {"LOAD_SECONDS": "5", "LOAD_USERS": "", "LOAD_WORKERS": "0", "LOAD_RESULTS": str(page)}
    assert Settings.read(given) == Settings(seconds=5, users=24, workers=0, vus=2, results=page)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LOAD_SECONDS", "abc"), ("LOAD_SECONDS", "0"), ("LOAD_SECONDS", "1.5"), ("LOAD_USERS", "-1"), ("LOAD_USERS", "٣"),
        ("LOAD_WORKERS", "x"), ("LOAD_VUS", "0"), ("LOAD_VUS", "9" * 5000), ("LOAD_RESULTS", "/nonexistent/page.md"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_is_refused(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=f"^{name}"):
        Settings.read({"LOAD_RESULTS": str(tmp_path / "page.md"), name: value})


def test_make_load_looks_at_them_before_it_starts_anything(tmp_path: Path) -> None:
    told = run([sys.executable, str(LOAD / "run_load.py"), "--check"], tmp_path, LOAD_SECONDS="abc")
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr == "load: LOAD_SECONDS is a whole number from 1 to 1,000,000, not 'abc'.\n"


def test_without_logins_locust_ends_at_once(tmp_path: Path) -> None:
    command = [str(BIN / "locust"), "-f", str(LOAD / "load_test.py"), "--host", "http://127.0.0.1:9", "--headless"]
    told = run(command, tmp_path)
    assert told.returncode == 1
    assert "load_test: set PLATFORM_LOGINS to the platform's file of logins" in told.stderr
    assert "Traceback" not in told.stderr
    (tmp_path / "logins.json").write_text("{")
    assert "cannot be read as JSON" in run(command, tmp_path, PLATFORM_LOGINS="logins.json").stderr


def test_without_logins_k6_says_what_to_say(tmp_path: Path) -> None:
    told = run([*K6, str(LOAD / "k6_load_test.js")], tmp_path)
    assert told.returncode != 0
    assert "say -e PLATFORM_LOGINS=FILE" in told.stderr


def test_against_nothing_k6_meets_no_objective(tmp_path: Path) -> None:
    (tmp_path / "logins.json").write_text(json.dumps([{"username": "clinician-1", "password": "x"}]))
    words = ["-e", f"GATEWAY_URL=http://127.0.0.1:{free_port()}", "-e", f"PLATFORM_LOGINS={tmp_path}/logins.json"]
    told = run([*K6, *words, "-e", "K6_SUMMARY=k6.json", str(LOAD / "k6_load_test.js")], tmp_path)
    assert told.returncode != 0
    found = json.loads((tmp_path / "k6.json").read_text())
    assert [each["name"] for each in found["slo"] if each["met"]] == []
    assert "Objectives by k6:" in told.stdout
    assert "  met " not in told.stdout


def demo(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(map(str, (ROOT, ROOT / "infra" / "platform", ROOT / "clients" / "python")))
    command = [sys.executable, str(ROOT / "infra" / "platform" / "demo.py"), *words]
    return run(command, ROOT, PORTAL_DATA=str(folder), PYTHONPATH=path)


def test_a_load_runs_on_the_platform_that_runs_already(tmp_path: Path) -> None:
    data = tmp_path / "platform"
    data.mkdir()
    command = ("--run", "sh", "-c", "echo to $PLATFORM_GATEWAY_URL with $PLATFORM_LOGINS; exit 7")
    with (data / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        starting = demo(tmp_path, *command)
        told = {"PLATFORM_GATEWAY_URL": "http://127.0.0.1:8100", "PLATFORM_LOGINS": "there.json"}
        (data / "running.json").write_text(json.dumps(told))
        on_it, second = demo(tmp_path, *command), demo(tmp_path)
    assert (starting.returncode, starting.stderr[:36]) == (1, "demo-platform: A platform is startin")
    assert on_it.returncode == 7
    assert "to http://127.0.0.1:8100 with there.json" in on_it.stdout
    assert second.returncode == 1
    assert "A platform runs on" in second.stderr
    assert "its gateway at http://127.0.0.1:8100" in second.stderr


def test_a_port_that_is_none_is_refused(tmp_path: Path) -> None:
    for wrong in ("abc", "0", "99999", "-1"):
        command = [sys.executable, str(ROOT / "infra" / "platform" / "demo.py")]
        path = os.pathsep.join(map(str, (ROOT, ROOT / "infra" / "platform", ROOT / "clients" / "python")))
        told = run(command, ROOT, PORTAL_DATA=str(tmp_path), PYTHONPATH=path, PLATFORM_PORT=wrong)
        assert told.returncode == 1
        assert told.stderr.startswith("demo-platform: PLATFORM_PORT is a number from 1 to ")
