from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client


def _no_database(*_: Any, **__: Any) -> None:
    raise OperationalError("connection refused")


def test_a_page_is_a_503_that_says_to_come_back(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.contrib.sessions.backends.db.SessionStore.load", _no_database)
    client = Client(raise_request_exception=False)
    client.cookies["sessionid"] = "x" * 32
    answer = client.get("/t/acme/")
    assert answer.status_code == 503
    assert answer["Retry-After"]
    assert "cannot reach its data" in answer.content.decode()
