from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest

from .conftest import Visit

LIMIT = 150_000


@pytest.mark.parametrize("page", ["/t/acme/keys", "/t/acme/members", "/t/acme/quotas", "/accounts/login/"])
def test_a_page_without_charts_weighs_less_than_150_kb(visit: Callable[..., Visit], page: str) -> None:
    window = visit("alice" if page.startswith("/t/") else "")
    sizes: dict[str, int] = {}

    def weigh(answer: object) -> None:
        body = answer.body()
        packed = body if answer.url.endswith(".woff2") else gzip.compress(body)
        sizes[answer.url] = len(packed)

    window.page.on("response", weigh)
    window.page.goto(window.base + page, wait_until="networkidle")
    assert not any("plotly" in url for url in sizes)
    assert sum(sizes.values()) < LIMIT, sizes
