from __future__ import annotations

import pytest

from tests.portal.api.calling import Api, Callers, problem


def test_pages_are_whole_and_linked(callers: Callers) -> None:
    alice = callers.person("alice")
    for number in range(5):
        alice.post("tenants/acme/api-keys", {"name": f"k{number}", "preset": "read"})
    names: list[str] = []
    url: str | None = "/api/v1/tenants/acme/api-keys?ordering=name&page_size=2"
    while url:
        page = alice.get(url.removeprefix("http://testserver")).json()
        assert page["count"] == 5
        names += [row["name"] for row in page["results"]]
        url = page["next"]
    assert names == [f"k{number}" for number in range(5)]


@pytest.mark.parametrize(
    "query", ["page=0", "page=-1", "page=2", "page=last", "page=1e3", "page=", "page=９", "page=99999999999999999999", "page_size=0",
              "page_size=-1", "page_size=501", "page_size=x", "page=1&page=1", "limit=-1", "cursor=abc", "ordering=digest", "state=%00"],
)  # fmt: skip
def test_bad_queries(operator: Api, query: str) -> None:
    found = problem(operator.get(f"tenants?{query}"), 400, "validation_error")
    assert found["errors"][0]["pointer"].startswith("?")


def test_five_thousand_parameters(operator: Api) -> None:
    answer = operator.get("tenants?" + "&".join(f"a{number}=1" for number in range(5000)))
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
