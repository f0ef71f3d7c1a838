"""What can go wrong before anything is installed ends with status 1 and one sentence that says what to do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path):
    """A copy of what the bootstrap script needs, without an environment."""
    shutil.copytree(ROOT / "bin", tmp_path / "bin")
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    return tmp_path


def bootstrap(folder, *arguments, **variables):
    answer = subprocess.run(
        [sys.executable, "bin/bootstrap", *arguments],
        cwd=folder,
        env={**os.environ, "PIP_RETRIES": "0", "PIP_DEFAULT_TIMEOUT": "2", **variables},
        capture_output=True,
        text=True,
    )
    return answer.returncode, answer.stderr


def test_a_missing_lock_file(checkout):
    (checkout / "requirements" / "demo.lock").unlink()
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").touch()
    (checkout / ".venv" / ".aurelius-stamp.json").write_text('{"flavour": "demo"}')
    status, words = bootstrap(checkout, "demo")
    assert (status, words) == (
        1,
        "bootstrap: requirements/demo.lock is missing: restore it with `git checkout -- requirements`.\n",
    )


def test_an_index_that_cannot_be_reached(checkout):
    if subprocess.run([sys.executable, "-c", "import pip"], capture_output=True).returncode and not shutil.which(
        "apt-get"
    ):
        pytest.skip("no pip here")
    status, words = bootstrap(checkout, "demo", PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_NO_CACHE_DIR="1")
    assert status == 1
    assert words.startswith("bootstrap: Could not fetch uv: the package index cannot be reached: check the network")
    assert words.count("\n") == 1


def test_a_folder_that_cannot_be_written(checkout):
    (checkout / ".tools").write_text("in the way")
    status, words = bootstrap(checkout, "demo")
    assert status == 1
    assert words.startswith("bootstrap: Cannot write to ")
    assert words.count("\n") == 1


def test_an_unknown_flavour(checkout):
    assert bootstrap(checkout, "everything") == (
        1,
        "bootstrap: usage: bin/bootstrap production | demo | platform | dev\n",
    )


def test_an_old_python_is_told_what_to_install(checkout, tmp_path):
    script = (checkout / "bin" / "bootstrap").read_text().replace("MINIMUM = (3, 11)", "MINIMUM = (4, 0)")
    (checkout / "bin" / "bootstrap").write_text(script)
    status, words = bootstrap(checkout, "demo")
    assert status == 1
    assert "Python 4.0 or newer is needed" in words
    assert words.count("\n") == 1
