"""Makes the reference platform known to a portal, through the portal's own API: tenants, keys, and who may log in at the gateway."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aurelius import Client, Problem

from aurelius_platform.accounts import Account, dump, hashed


@dataclass(frozen=True)
class Customer:
    """A tenant of the platform: its people log in as `<role>-<number>`. `minute` overrides the calls a minute and user, if given."""

    slug: str
    name: str
    tier: str
    people: dict[str, int]
    projects: tuple[str, ...]
    minute: int | None = None


CUSTOMERS = (
    Customer(
        "riverside", "Riverside Hospital", "scale", {"clinician": 20, "researcher": 12, "admin": 4, "radiologist": 8},
        ("mammography", "chest-ct", "neuro-mri"), minute=3_000,
    ),
    Customer("lakeside", "Lakeside Practice", "starter", {"visitor": 2}, ("triage",)),
)  # fmt: skip
ROLES = {"admin": ("clinician", "admin")}
METERS = (
    "inferences:Inferences:inferences:0.0004",
    "searches:Searches:searches:0",
    "images_rendered:Images rendered:images:0",
)
"""For the portal's `manage.py add_meter`."""
REASON = "reference platform"


def onboard(portal: Client, accounts: Path, logins: Path) -> int:
    """Create what is missing at the portal and write both files; how many accounts there are. Passwords are random and only in `logins`."""
    made: list[Account] = []
    passwords: dict[str, str] = {}
    service_keys: dict[str, str] = {}
    for customer in CUSTOMERS:
        _tenant(portal, customer)
        service_keys[customer.slug] = _key(portal, customer, "Platform services", preset="service")
        for number, (username, role) in enumerate(_people(customer)):
            passwords[username] = secrets.token_urlsafe(12)
            made.append(
                Account(
                    username=username,
                    password_hash=hashed(passwords[username]),
                    tenant=customer.slug,
                    project=customer.projects[number % len(customer.projects)],
                    api_key=_key(portal, customer, username, scopes=["decide"]),
                    roles=ROLES.get(role, ("clinician",)),
                )
            )
    rows = [{"username": name, "password": password, "tenant": _of(made, name)} for name, password in passwords.items()]
    logins.touch(mode=0o600)
    logins.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    dump(accounts, made, service_keys)  # last: where it is, nobody asks for onboarding again
    return len(made)


def _people(customer: Customer) -> Iterator[tuple[str, str]]:
    for role, count in customer.people.items():
        for number in range(1, count + 1):
            yield f"{role}-{number}", role


def _of(accounts: list[Account], username: str) -> str:
    return next(account.tenant for account in accounts if account.username == username)


def _tenant(portal: Client, customer: Customer) -> None:
    try:
        portal.get(f"tenants/{customer.slug}")
    except Problem as problem:
        if problem.status != 404:
            raise
        body = {"slug": customer.slug, "name": customer.name, "tier": customer.tier, "reason": REASON}
        portal.post("tenants", body)
    if customer.minute is not None:
        override = {"limit": customer.minute, "reason": REASON}
        portal.send("PUT", f"tenants/{customer.slug}/rate-limits/minute", override)


def _key(portal: Client, customer: Customer, name: str, **what: Any) -> str:
    issued = portal.post(f"tenants/{customer.slug}/api-keys", {"name": name, **what})
    return str(issued["key"])


def main() -> None:
    """`python -m onboarding TOKEN`: with PLATFORM_PORTAL_URL and an operator's token, into PLATFORM_DATA."""
    data = Path(os.environ["PLATFORM_DATA"])
    client = Client(os.environ["PLATFORM_PORTAL_URL"], sys.argv[1].strip())
    print(
        f"{onboard(client, data / 'accounts.json', data / 'logins.json')} accounts; their passwords are in {data / 'logins.json'}"
    )


if __name__ == "__main__":
    main()
