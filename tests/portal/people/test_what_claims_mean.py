from __future__ import annotations

from typing import Any

import pytest

from portal.people import providers
from portal.people.sso_roles import Granted, governed, granted, problems

MAPPING = {
    "a": "acme:viewer",
    "b": "acme:owner",
    "c": "globex:billing",
    "s": "platform:support",
    "o": "platform:operator",
}


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"groups": ["a", "b", "c"]}, Granted({"acme": "owner", "globex": "billing"})),
        ({"groups": ["b", "a"]}, Granted({"acme": "owner"})),
        ({"groups": ["o", "s"]}, Granted({}, "operator")),
        ({"groups": "a"}, Granted({"acme": "viewer"})),
        ({"groups": {"a": 1}}, Granted()),
        ({"groups": [1, None, ["a"]]}, Granted()),
        ({}, Granted()),
    ],
)
def test_the_highest_role_counts_and_odd_claims_give_nothing(claims: dict[str, Any], expected: Granted) -> None:
    assert granted(claims, "groups", MAPPING) == expected


def test_a_claim_may_lie_deeper() -> None:
    assert granted({"realm_access": {"roles": ["c"]}}, "realm_access.roles", MAPPING).tenants == {"globex": "billing"}
    assert governed(MAPPING) == {"acme", "globex", "platform"}


@pytest.mark.parametrize("roles", [[], {"a": "acme"}, {"a": "acme:king"}, {"a": "platform:owner"}, {"a": 1}])
def test_a_wrong_mapping_is_named(roles: Any) -> None:
    assert problems(roles)
    entry = {"id": "x", "name": "X", "server_url": "https://x", "client_id": "c", "client_secret": "s", "roles": roles}
    assert list(providers.problems([entry]))
    assert providers.usable([entry]) == []
