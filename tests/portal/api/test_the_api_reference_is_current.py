"""docs/api-reference.md is what the API is. To renew it: make docs-api."""

from __future__ import annotations

import os
import re
import shlex
from functools import cache
from pathlib import Path

from portal.api import reference, schema

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "api-reference.md"


@cache
def page() -> str:
    return reference.markdown(schema.document())


def test_the_document_says_what_is_there() -> None:
    if os.environ.get("UPDATE_DOCS"):
        DOCUMENT.write_text(page())
    assert DOCUMENT.read_text() == page(), "run: make docs-api"


def test_every_operation_is_told_whole() -> None:
    parts = re.split(r"^### ", page().partition("\n## Objects\n")[0], flags=re.M)[1:]
    operations = [operation for methods in schema.document()["paths"].values() for operation in methods.values()]
    assert len(parts) == len(operations)
    for part in parts:
        for what in ("**Scope:** ", "**Answer ", "**Problems:** 4", "```sh\ncurl ", "```python\n"):
            assert what in part, part
        call = re.search(r"```python\n(.*?)```", part, re.S)
        assert call
        compile(call[1], "example", "exec")
        shell = re.search(r"```sh\n(.*?)```", part, re.S)
        assert shell
        assert shlex.split(shell[1])[0] == "curl"


def test_scopes_are_those_of_the_views() -> None:
    def scope(operation: str) -> str:
        found = re.search(rf'<a id="{operation}"></a>.*?\*\*Scope:\*\* (\S+)', page(), re.S)
        assert found, operation
        return found[1]

    assert [scope(each) for each in ("events_send", "reservations_make")] == ["`usage:write`", "`reserve`"]


def test_every_link_leads_somewhere() -> None:
    anchors = set(re.findall(r'<a id="([^"]+)"', page())) | {
        title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", page(), re.M)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", page())) <= anchors
