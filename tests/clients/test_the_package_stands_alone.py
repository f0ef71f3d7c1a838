"""What is installed needs no Django, no portal and nothing else: the package's own files in a bare interpreter."""

from __future__ import annotations

import subprocess
import sys
import tomllib

from tests.clients.conftest import PACKAGE

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
