"""How many statements a page may cost, in a file that a reviewer sees change. A page that got leaner updates the file too."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

LIMITS: dict[str, int] = json.loads((Path(__file__).parent / "sql_counts.json").read_text())
SLACK = 8
"""How far below its limit a page may be before the file has to be brought up to date."""


@pytest.mark.parametrize("page", LIMITS)
def test_sql_per_page_is_counted(browse: Callable[[str], Client], page: str) -> None:
    client = browse("alice")
    client.get(page)  # the first one fills the session and process-wide caches
    with CaptureQueriesContext(connection) as statements:
        assert client.get(page).status_code == 200
    count = len(statements)
    assert count <= LIMITS[page], "\n".join(query["sql"][:160] for query in statements.captured_queries)
    assert count >= LIMITS[page] - SLACK, f"{page} costs {count} statements now: lower its limit in sql_counts.json"
