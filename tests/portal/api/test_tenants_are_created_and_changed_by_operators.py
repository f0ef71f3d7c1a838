from __future__ import annotations

import pytest

from tenants.models import Membership, Tenant
from tests.portal.api.calling import Api, Callers, problem


def test_created_with_owner_and_served_at_once(callers: Callers, operator: Api) -> None:
    body = {
        "slug": "newco",
        "name": "Newco",
        "tier": "scale",
        "time_zone": "Asia/Kolkata",
        "currency": "USD",
        "owner": "bob",
    }
    made = operator.post("tenants", body)
    assert made.status_code == 201
    assert made.json() | {"created_at": ""} == {
        "slug": "newco", "name": "Newco", "state": "active", "state_reason": "", "tier": "scale", "time_zone": "Asia/Kolkata",
        "currency": "USD", "contact_email": "", "created_at": "",
    }  # fmt: skip
    assert Membership.objects.get(tenant__slug="newco").user == callers.cast.people["bob"]
    text = operator.post("tenants/newco/api-keys", {"name": "First", "preset": "admin"}).json()["key"]
    assert callers.text(text).get("tenants/newco").json()["slug"] == "newco"


def test_a_taken_slug_is_a_conflict(operator: Api) -> None:
    problem(operator.post("tenants", {"slug": "acme", "name": "Again"}), 409, "conflict")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"slug": "Acme", "name": "x"}, "/slug"), ({"slug": "platform", "name": "x"}, "/slug"), ({"slug": 7, "name": "x"}, "/slug"),
        ({"slug": "a", "name": ""}, "/name"), ({"slug": "a", "name": None}, "/name"), ({"slug": "a", "name": "a\u202eb"}, "/name"),
        ({"slug": "a", "name": "x", "tier": "gold"}, "/tier"), ({"slug": "a", "name": "x", "time_zone": "../etc"}, "/time_zone"),
        ({"slug": "a", "name": "x", "currency": "usd"}, "/currency"), ({"slug": "a", "name": "x", "owner": "nobody"}, "/owner"),
        ({"slug": "a", "name": "x", "contact_email": "a@b.example, c@d.example"}, "/contact_email"),
        ({"slug": "a", "name": "x", "state": "closed"}, "/state"), ([], ""), ("x", ""),
    ],
)  # fmt: skip
def test_bad_tenants(operator: Api, body: object, pointer: str) -> None:
    before = Tenant.objects.count()
    found = problem(operator.post("tenants", body), 400, "validation_error")
    assert pointer in {error["pointer"] for error in found["errors"]}
    assert Tenant.objects.count() == before


def test_suspended_until_resumed(callers: Callers, operator: Api) -> None:
    key, alice = callers.key(), callers.person("alice")
    assert operator.patch("tenants/acme", {"state": "suspended", "reason": "Unpaid"}).json()["state_reason"] == "Unpaid"
    problem(key.get("tenants/acme"), 403, "tenant_suspended")
    assert alice.get("tenants/acme").json()["state"] == "suspended"
    problem(alice.post("tenants/acme/api-keys", {"name": "x", "preset": "read"}), 403, "tenant_suspended")
    assert operator.patch("tenants/acme", {"state": "active"}).json()["state"] == "active"
    assert key.get("tenants/acme").status_code == 200


def test_closed_is_for_good(callers: Callers, operator: Api) -> None:
    key = callers.key()
    operator.patch("tenants/acme", {"state": "closed", "reason": "Left"})
    assert key.get("me").status_code in (401, 403)
    problem(operator.patch("tenants/acme", {"state": "active"}), 409, "conflict")


def test_a_reason_is_needed_to_suspend(operator: Api) -> None:
    problem(operator.patch("tenants/acme", {"state": "suspended"}), 400, "validation_error")
    problem(operator.patch("tenants/acme", {}), 400, "validation_error")
    problem(operator.patch("tenants/acme", {"reason": "Just so"}), 400, "validation_error")


def test_all_or_nothing(operator: Api) -> None:
    problem(operator.patch("tenants/acme", {"name": "Renamed", "state": "suspended"}), 400, "validation_error")
    assert Tenant.objects.get(slug="acme").name == "Acme Radiology"


def test_another_tier_is_in_force_on_the_next_call(callers: Callers, operator: Api) -> None:
    key = callers.key()
    key.get("me")
    operator.patch("tenants/acme", {"tier": "starter", "reason": "Trial over"})
    assert key.get("me")["X-RateLimit-Limit"] == "30"


def test_slug_and_currency_never_change(operator: Api) -> None:
    for name in ("slug", "currency", "created_at"):
        found = problem(operator.patch("tenants/acme", {name: "x"}), 400, "validation_error")
        assert [error["pointer"] for error in found["errors"]] == [f"/{name}"]


def test_operators_list_all_and_others_their_own(callers: Callers, operator: Api) -> None:
    def slugs(api: Api, query: str = "") -> list[str]:
        return [row["slug"] for row in api.get(f"tenants{query}").json()["results"]]

    assert slugs(operator) == ["acme", "globex"]
    assert slugs(operator, "?search=glo") == ["globex"]
    assert slugs(operator, "?ordering=-slug&page_size=1") == ["globex"]
    assert slugs(operator, "?state=suspended") == slugs(operator, "?tier=starter") == []
    assert slugs(callers.key()) == slugs(callers.person("victor")) == ["acme"]
    assert slugs(callers.person("mallory")) == ["globex"]
