from __future__ import annotations

import pytest

from tests.metering.billing.invoices import issued_invoice
from tests.portal.api.calling import Api, Callers, problem
from tests.portal.api.test_the_openapi_document_is_whole import document
from tests.tenants.cast import Cast


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


def test_every_list_that_has_pages_takes_their_parameters() -> None:
    """What answers with `next` can be asked for it: the links that a list gives lead somewhere."""
    schemas = document()["components"]["schemas"]
    lists = []
    for path, methods in document()["paths"].items():
        for found in methods.values():
            body = found["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema", {})
            shape = schemas.get(body.get("$ref", "").rpartition("/")[2], body)
            if {"count", "next", "previous", "results"} <= set(shape.get("properties", {})):
                lists.append(path)
                assert {"page", "page_size"} <= {each["name"] for each in found["parameters"]}, path
    assert "/api/v1/tenants/{slug}/invoices" in lists
    assert len(lists) >= 10


def test_invoices_come_page_by_page(callers: Callers, cast: Cast) -> None:
    for months_ago in (3, 2, 1):
        issued_invoice(cast.acme, months_ago)
    carol = callers.person("carol")
    whole = [row["period"] for row in carol.get("tenants/acme/invoices").json()["results"]]
    assert len(whole) == 3
    assert whole == sorted(whole, reverse=True)
    periods: list[str] = []
    url: str | None = "/api/v1/tenants/acme/invoices?state=issued&page_size=1"
    while url:
        page = carol.get(url.removeprefix("http://testserver")).json()
        assert page["count"] == 3
        periods += [row["period"] for row in page["results"]]
        url = page["next"]
    assert periods == whole
    problem(carol.get("tenants/acme/invoices?page=2"), 400, "validation_error")


def test_the_other_lists_of_money_have_second_pages(callers: Callers, operator: Api) -> None:
    for url in ("tenants/acme/anomalies", "anomalies", "price-books", "price-books/default/versions"):
        assert operator.get(f"{url}?page=1&page_size=1").status_code == 200, url
