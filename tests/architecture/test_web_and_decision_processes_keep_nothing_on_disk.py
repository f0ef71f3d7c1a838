"""Any web process answers any request: what one has made is in PostgreSQL or Redis, and no file is written that another would need."""

from __future__ import annotations

import ast
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.db import models

ROOT = Path(__file__).resolve().parents[2]
# Who writes files, and where: none of them runs inside a web or decision process.
ELSEWHERE = (
    "portal/embedded/", "portal/demo/", "portal/build_assets.py", "metering/agent/", "management/commands/",
    "portal/grafana_keys.py",  # `manage.py grafana_keys` makes them; web processes read a mounted secret
)  # fmt: skip
WRITES = {
    "write_text",
    "write_bytes",
    "mkdir",
    "mkdtemp",
    "mkstemp",
    "NamedTemporaryFile",
    "TemporaryDirectory",
    "touch",
}
ALLOWED = {
    "metering/attribution/policy.py": {"os.open"},  # reads /proc
    "metering/collectors/storage/trees.py": {"os.open"},  # reads folders
    "tenants/exposition.py": {
        "mkdir",
        "touch",
        "(folder / 'lock').open",
    },  # PROMETHEUS_MULTIPROC_DIR: one machine's own metrics
    "portal/doctor/watchers.py": {"TemporaryDirectory"},
}


def writes(path: Path) -> set[str]:
    """Calls in the file that could write one."""
    found = set()
    for call in ast.walk(ast.parse(path.read_text())):
        if not isinstance(call, ast.Call):
            continue
        name = ast.unparse(call.func)
        last = name.rpartition(".")[2]
        if last in WRITES:
            found.add(last)
        if name == "os.open":
            found.add(name)
        if last == "open":
            mode = next(
                (
                    ast.unparse(each)
                    for each in call.args[:2]
                    if isinstance(each, ast.Constant) and isinstance(each.value, str)
                ),
                "",
            )
            if set(mode.strip("'\"")) & set("wax+") and len(mode) <= 5:
                found.add(name)
    return found


def test_no_module_of_the_web_writes_a_file():
    found = {}
    for app in ("portal", "metering", "tenants"):
        for path in (ROOT / app).rglob("*.py"):
            name = str(path.relative_to(ROOT))
            if any(part in name for part in ELSEWHERE) or "/migrations/" in name:
                continue
            if left := writes(path) - ALLOWED.get(name, set()):
                found[name] = left
    assert found == {}


def test_no_model_keeps_a_file():
    fields = [
        field
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if isinstance(field, models.FileField)
    ]
    assert fields == []


def test_what_lasts_from_request_to_request_is_shared():
    assert settings.SESSION_ENGINE.endswith((".db", ".cached_db"))
    assert settings.MESSAGE_STORAGE.endswith("SessionStorage")
    assert {each["BACKEND"].rpartition(".")[2] for each in settings.CACHES.values()} == {"RedisCache"}


def test_the_check_finds_what_it_looks_for(tmp_path):
    sample = tmp_path / "sample.py"
    sample.write_text("open('/x', 'wb')\npath.write_text('a')\npath.open()\nopen(name)\n")
    assert writes(sample) == {"open", "write_text"}
