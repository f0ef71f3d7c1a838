"""Every Python block of docs/sdk.md compiles, and takes from the package only what there is."""

from __future__ import annotations

import ast
import importlib
import re

import aurelius
import pytest
from aurelius import AsyncHttpDecider, Events, HttpDecider, Spool, middleware

from tests.clients.conftest import PACKAGE, ROOT

BLOCKS = [
    block
    for page in (ROOT / "docs" / "sdk.md", PACKAGE / "README.md")
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.S)
]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block(block: str) -> None:
    tree = compile(block, "sdk.md", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aurelius"):
            module = importlib.import_module(node.module or "")
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def test_every_name_of_the_guide_is_public() -> None:
    text = (ROOT / "docs" / "sdk.md").read_text()
    for kind in (AsyncHttpDecider, HttpDecider, Events, Spool, middleware.Route, middleware.AureliusWSGIMiddleware):
        assert kind.__name__ in text
    assert {name for name in aurelius.__all__ if name.endswith("Error")} <= set(re.findall(r"\w+", text))
