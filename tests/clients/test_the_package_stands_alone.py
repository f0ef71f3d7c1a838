"""What is installed needs no Django, no portal and nothing else: the package's own files in a bare interpreter."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from aurelius import client

from tests.clients.conftest import PACKAGE, ROOT

CODE = """
import sys
sys.path.insert(0, sys.argv[1])
before = set(sys.modules)
import aurelius, aurelius.middleware, aurelius.cli
print(sorted({name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)))
"""


def test_it_imports_the_standard_library_alone() -> None:
    bare = [sys.executable, "-I", "-S", "-c", CODE, str(PACKAGE)]
    assert subprocess.run(bare, capture_output=True, text=True, check=True).stdout.strip() == "['aurelius']"


def test_the_wheel_holds_every_module() -> None:
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())
    packages = {".".join(path.parent.relative_to(PACKAGE).parts) for path in (PACKAGE / "aurelius").rglob("*.py")}
    assert set(project["tool"]["setuptools"]["packages"]) == packages
    assert project["project"]["dependencies"] == []
    assert (PACKAGE / "aurelius" / "py.typed").exists()
    assert project["tool"]["setuptools"]["package-data"] == {"aurelius": ["py.typed"]}
    assert project["project"]["license-files"] == ["LICENSE"]
    assert (PACKAGE / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_the_portal_reads_its_version_in_every_call() -> None:
    version = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]["version"]
    assert f"aurelius-python/{version}" == client.USER_AGENT


MODULES = sorted((PACKAGE / "aurelius").rglob("*.py"))
OLDEST = (3, 9)


def oldest() -> str | None:
    """An interpreter of the oldest version that the package promises, where this machine has one."""
    found = [shutil.which("python3.9"), *sorted(Path.home().glob(".pyenv/versions/3.9*/bin/python"))]
    return next(
        (str(path) for path in found if path and not subprocess.run([path, "-V"], capture_output=True).returncode), None
    )


def runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """What runs: everything but annotations, which `from __future__ import annotations` leaves alone."""
    for name, field in ast.iter_fields(tree):
        if name in ("annotation", "returns"):
            continue
        for child in field if isinstance(field, list) else [field]:
            if isinstance(child, ast.AST):
                yield child
                yield from runtime_nodes(child)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_it_is_python_3_9(module: Path) -> None:
    """The syntax, and no `X | None` where it runs: that came with 3.10. The class of mistake that hid in a type alias."""
    tree = ast.parse(module.read_text(), feature_version=OLDEST)
    unions = [
        node.lineno
        for node in runtime_nodes(tree)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr) and is_none(node.right)
    ]
    assert unions == []


def is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def test_it_runs_on_the_oldest_python() -> None:
    python = oldest()
    if python is None:
        pytest.skip("no Python 3.9 here; the test of every module's syntax runs everywhere")
    every = [".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in MODULES if path.stem != "__init__"]
    code = f"import sys; sys.path.insert(0, sys.argv[1]); import {', '.join(every)}"
    subprocess.run([python, "-I", "-S", "-c", code, str(PACKAGE)], check=True)


PROGRAM = """
from aurelius import AsyncClient, Client, Events, areserve, reserve
from aurelius.middleware import Caller

def job(client: Client, caller: Caller) -> str:
    with reserve(client=client, gpus=1, gpu_model="H100", expected_hours="0.5", labels={"project": "x"}) as r:
        caller.record("gpu_seconds", 0.5, model="H100", batch=4)
        return r.id

async def other(client: AsyncClient) -> None:
    async with areserve(client=client, gpus=1, gpu_model="H100", expected_hours=0.5, ttl_seconds=60) as r:
        await r.started()
"""
MISTAKES = """
from aurelius import Events, reserve

reserve(gpuz=1, gpu_model="H100", expected_hours=1)
reserve(gpus=1, gpu_model="H100")
reserve(gpus="1", gpu_model="H100", expected_hours=1)
Events().send("gpu_seconds", 1, project={"a": 1})
Events().send("gpu_seconds", None)
"""


def test_a_type_checker_knows_it(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "mistakes.py").write_text(MISTAKES)
    checker = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file", ""]
    as_installed = ["--follow-imports", "silent", "--cache-dir", str(tmp_path / "cache")]
    told = subprocess.run(
        [*checker, *as_installed, "program.py", "mistakes.py"],
        cwd=tmp_path, env={"MYPYPATH": str(PACKAGE), "PATH": ""}, capture_output=True, text=True,
    )  # fmt: skip
    assert {line.split(":")[0] for line in told.stdout.splitlines()} == {"mistakes.py"}, told.stdout + told.stderr
    assert {int(line.split(":")[1]) for line in told.stdout.splitlines() if ": error:" in line} == {4, 5, 6, 7, 8}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_public_attribute_says_its_type(module: Path) -> None:
    """What a checker would otherwise have to guess, and guess differently (pyright --verifytypes)."""
    for defined in (node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.ClassDef)):
        said, assigned = set(), set()
        for node in ast.walk(defined):
            if isinstance(node, ast.AnnAssign):
                said.add(node.target.attr if isinstance(node.target, ast.Attribute) else ast.unparse(node.target))
            elif isinstance(node, ast.Assign):
                assigned |= {
                    target.attr
                    for target in node.targets
                    if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self"
                }
        guessed = {name for name in assigned - said if not name.startswith("_")}
        assert defined.name.startswith("_") or not guessed, f"{defined.name}: {guessed}"
