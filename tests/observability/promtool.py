"""promtool for tests: Debian's package `prometheus` has it. Where it is missing, its tests say so and skip."""

import shutil
import subprocess

import pytest

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: apt-get install prometheus)"
)


def run(*arguments: str, timeout: int = 180) -> tuple[int, str]:
    """(exit status, output) of promtool."""
    answer = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=timeout)
    return answer.returncode, answer.stdout + answer.stderr
