"""The demo's traffic runs for days, a token for eight hours: whoever is told to log in does."""

from __future__ import annotations

import httpx
import pytest

from infra.platform import traffic

CLEO = {"username": "cleo", "password": "secret"}


def test_it_logs_in_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "_tokens", {})
    good, logins = ["first"], []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/login":
            logins.append(request)
            return httpx.Response(200, json={"token": good[0]})
        known = request.headers["authorization"] == f"Bearer {good[0]}"
        return httpx.Response(200 if known else 401, json={"results": [{"id": "0" * 12}]})

    with httpx.Client(base_url="http://gateway", transport=httpx.MockTransport(answer)) as client:
        traffic._request(client, CLEO, 1)
        traffic._request(client, CLEO, 1)
        assert len(logins) == 1
        good[0] = "second"
        with pytest.raises(httpx.HTTPStatusError):
            traffic._request(client, CLEO, 1)
        traffic._request(client, CLEO, 1)
    assert len(logins) == 2
