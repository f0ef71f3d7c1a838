from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tenants.enforcement.publishing import policy
from tenants.models import ApiKey
from tests.portal.api.calling import Api, Callers, problem


def test_a_new_key_works_and_a_revoked_one_does_not(callers: Callers) -> None:
    alice = callers.person("alice")
    made = alice.post("tenants/acme/api-keys", {"name": "Gateway", "scopes": ["usage:read", "quota:read"]})
    assert made.status_code == 201
    assert made["Location"].endswith(f"/api/v1/tenants/acme/api-keys/{made.json()['id']}")
    assert "no-store" in made["Cache-Control"]
    api = callers.text(made.json()["key"])
    assert api.get("tenants/acme/rate-limits").status_code == 200
    assert alice.delete(f"tenants/acme/api-keys/{made.json()['id']}").status_code == 204
    problem(api.get("tenants/acme/rate-limits"), 401, "invalid_key")
    assert alice.delete(f"tenants/acme/api-keys/{made.json()['id']}").status_code == 204


def test_the_list_never_shows_secrets(callers: Callers) -> None:
    key = callers.key()
    listed = key.get("tenants/acme/api-keys")
    assert key.key is not None
    assert key.key.split("_", 4)[4] not in listed.content.decode()
    assert listed.json()["count"] == 1
    assert set(listed.json()["results"][0]) == {
        "id", "name", "scopes", "member", "state", "created_at", "created_by", "expires_at", "revoked_at", "last_used_at",
    }  # fmt: skip


def test_keys_are_filtered_by_state(callers: Callers) -> None:
    alice = callers.person("alice")
    ids = [alice.post("tenants/acme/api-keys", {"name": name, "preset": "read"}).json()["id"] for name in "ab"]
    alice.delete(f"tenants/acme/api-keys/{ids[0]}")
    for state, expected in (("active", [ids[1]]), ("revoked", [ids[0]]), ("expired", [])):
        assert [row["id"] for row in alice.get(f"tenants/acme/api-keys?state={state}").json()["results"]] == expected
    assert [row["name"] for row in alice.get("tenants/acme/api-keys?ordering=name").json()["results"]] == ["a", "b"]


def test_a_member_sees_and_makes_own_keys_only(callers: Callers) -> None:
    callers.key()
    bob = callers.person("bob")
    made = bob.post("tenants/acme/api-keys", {"name": "Notebook", "scopes": ["usage:read"]}).json()
    assert made["member"] == "bob"
    assert [row["id"] for row in bob.get("tenants/acme/api-keys").json()["results"]] == [made["id"]]
    problem(bob.post("tenants/acme/api-keys", {"name": "x", "scopes": ["keys:write"]}), 403, "permission_denied")
    problem(
        bob.post("tenants/acme/api-keys", {"name": "x", "scopes": ["decide"], "member": "ada"}),
        403,
        "permission_denied",
    )
    others = callers.person("alice").get("tenants/acme/api-keys").json()["results"][-1]["id"]
    problem(bob.delete(f"tenants/acme/api-keys/{others}"), 404, "not_found")


def test_a_key_gives_no_more_than_it_has(callers: Callers) -> None:
    weak = callers.key(["keys:write", "usage:read"])
    assert weak.post("tenants/acme/api-keys", {"name": "x", "scopes": ["usage:read"]}).status_code == 201
    problem(weak.post("tenants/acme/api-keys", {"name": "x", "preset": "admin"}), 403, "permission_denied")
    problem(weak.get("tenants/acme/api-keys"), 403, "insufficient_scope")


def test_rotation_gives_a_successor(callers: Callers) -> None:
    alice = callers.person("alice")
    old = alice.post("tenants/acme/api-keys", {"name": "Gateway", "preset": "read"}).json()
    new = alice.post(f"tenants/acme/api-keys/{old['id']}/rotate", {"overlap_seconds": 0})
    assert new.status_code == 201
    problem(callers.text(old["key"]).get("me"), 401, "invalid_key")
    assert callers.text(new.json()["key"]).get("me").json()["name"] == "Gateway"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"preset": "read"}, "/name"),
        ({"name": "x"}, "/scopes"),
        ({"name": "x", "preset": "read", "scopes": ["decide"]}, "/scopes"),
        ({"name": "x", "scopes": ["decide", "root"]}, "/scopes/1"),
        ({"name": "x", "scopes": "decide"}, "/scopes"),
        ({"name": "x", "scopes": []}, "/scopes"),
        ({"name": "x", "preset": "god"}, "/preset"),
        ({"name": "x", "preset": "read", "member": "mallory"}, "/member"),
        ({"name": "x", "preset": "read", "expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"name": "x", "preset": "read", "expires_at": "2099-01-01T00:00:00"}, "/expires_at"),
        ({"name": "x", "preset": "read", "digest": "0"}, "/digest"),
    ],
)
def test_bad_wishes(callers: Callers, body: dict[str, object], pointer: str) -> None:
    found = problem(callers.person("alice").post("tenants/acme/api-keys", body), 400, "validation_error")
    assert pointer in {error["pointer"] for error in found["errors"]}


def test_an_expired_key_is_refused(callers: Callers, operator: Api) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    made = operator.post("tenants/acme/api-keys", {"name": "Short", "preset": "read", "expires_at": soon})
    assert made.status_code == 201
    assert made.json()["expires_at"] is not None
    key = callers.text(made.json()["key"])
    assert key.get("me").status_code == 200
    ApiKey.objects.filter(name="Short").update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    policy.publish(callers.cast.acme.pk)
    assert key.get("me").status_code == 401
