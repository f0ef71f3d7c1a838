"""The services import nothing of the portal, and the portal nothing of them: they meet over HTTP. Files stay small."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from infra.observability.as_code.known import ROOT

PACKAGE = ROOT / "infra" / "platform" / "aurelius_platform"
PORTAL = ("portal", "tenants", "metering")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_the_services_know_no_module_of_the_portal() -> None:
    files = list(PACKAGE.rglob("*.py"))
    assert len(files) > 20
    assert {str(path): found for path in files if (found := {"django", *PORTAL} & set(imports(path)))} == {}


def test_the_portal_knows_no_module_of_the_services() -> None:
    files = [path for room in PORTAL for path in (ROOT / room).rglob("*.py")]
    assert [str(path) for path in files if "aurelius_platform" in path.read_text(encoding="utf-8")] == []


def test_files_are_small() -> None:
    long = {path.name: len(path.read_text().splitlines()) for path in PACKAGE.parent.rglob("*.py")}
    assert {name: lines for name, lines in long.items() if lines > 300} == {}
