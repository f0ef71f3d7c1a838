"""Every page of the portal: who opens it, and those that name one thing of the stage (more.py)."""

from __future__ import annotations

ALL = frozenset({"alice", "ada", "carol", "bob", "victor"})
COSTS = frozenset({"alice", "ada", "carol"})
MANAGERS = frozenset({"alice", "ada"})
ALICE = frozenset({"alice"})

TENANT: dict[str, frozenset[str]] = {
    "": ALL,
    "usage": ALL,
    "usage?meter=gpu_hours&range=7d&granularity=hour": frozenset({"alice", "bob"}),
    "usage?meter=storage_gb&range=30d": ALICE,
    "usage?meter=api_calls&group_by=user&compare=1": frozenset({"alice", "victor"}),
    "gpus": ALL,
    "storage": ALL,
    "reservations": ALL,
    "quotas": ALL,
    "quotas/request": frozenset({"alice", "ada", "bob"}),
    "costs": COSTS,
    "costs/explorer": COSTS,
    "invoices": COSTS,
    "invoices/running": COSTS,
    "budget": COSTS,
    "budget/new": COSTS,
    "webhooks": MANAGERS,
    "webhooks/new": MANAGERS,
    "keys": ALL,
    "keys?show=all&sort=-used": ALICE,
    "keys/new": ALL,
    "members": MANAGERS,
    "members/new": MANAGERS,
    "activity": MANAGERS,
    "notifications": ALL,
    "downloads": MANAGERS,
    "settings": ALL,
}
"""After /t/acme/; everybody else gets a 403. Those with a "?" are opened by the named people only."""

OWN = (
    "/", "/sessions", "/style-guide", "/accounts/2fa/", "/accounts/2fa/totp/activate/", "/accounts/email/", "/accounts/password/change/",
    "/accounts/logout/", "/accounts/3rdparty/",
)  # fmt: skip
"""Of a signed-in person without a second factor."""

WITH_SECOND_FACTOR = (
    "/accounts/2fa/", "/accounts/2fa/recovery-codes/", "/accounts/2fa/recovery-codes/generate/", "/accounts/2fa/totp/deactivate/",
    "/accounts/reauthenticate/", "/accounts/2fa/reauthenticate/",
)  # fmt: skip

BEFORE: dict[str, int] = {
    "/accounts/login/": 200,
    "/accounts/password/reset/": 200,
    "/accounts/password/reset/done/": 200,
    "/accounts/password/reset/key/x-y/": 200,
    "/accounts/password/reset/key/done/": 200,
    "/accounts/signup/": 200,
    "/accounts/inactive/": 200,
    "/accounts/confirm-email/": 200,
    "/accounts/confirm-email/x/": 200,
    "/accounts/3rdparty/login/cancelled/": 200,
    "/accounts/3rdparty/login/error/": 401,
    "/style-guide": 200,
    "/nothing-here": 404,
}
"""Before signing in, with the status."""
