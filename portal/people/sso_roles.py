"""What an identity provider's claims mean here. Pure: no Django, no database.

A provider's `roles` maps a value of its claim (a group, a role) to a place: `"gpu-team": "acme:admin"` makes its people admins of the
tenant acme, `"ops": "platform:operator"` makes them operators. The provider decides for the tenants that it names, and for those only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PLATFORM = "platform"
ROLES = ("viewer", "member", "billing", "admin", "owner")
"""From low to high: who is in several groups of a tenant gets the highest."""
PLATFORM_ROLES = ("support", "operator")


@dataclass(frozen=True)
class Granted:
    """What a person's claims give them."""

    tenants: Mapping[str, str] = field(default_factory=dict)
    """slug → role."""
    platform: str = ""
    """support, operator, or nothing."""

    def __bool__(self) -> bool:
        return bool(self.tenants or self.platform)


def problems(mapping: object) -> list[str]:
    """What is wrong with a `roles` setting, in sentences; empty when it can be used."""
    if not isinstance(mapping, dict):
        return ['"roles" must be an object such as {"gpu-team": "acme:admin"}.']
    found = []
    for value, place in mapping.items():
        slug, _, role = place.partition(":") if isinstance(place, str) else ("", "", "")
        allowed = PLATFORM_ROLES if slug == PLATFORM else ROLES
        if not slug or role not in allowed:
            found.append(
                f'"{value}" leads to {place!r}: write "<tenant>:<{"|".join(ROLES)}>" or "platform:<{"|".join(PLATFORM_ROLES)}>".'
            )
    return found


def governed(mapping: Mapping[str, str]) -> set[str]:
    """The tenants (and PLATFORM) that the provider decides about."""
    return {place.partition(":")[0] for place in mapping.values()}


def granted(claims: Mapping[str, Any], claim: str, mapping: Mapping[str, str]) -> Granted:
    """The places of a person. `claim` may be dotted (`realm_access.roles`); a missing or odd claim gives nothing."""
    tenants: dict[str, str] = {}
    platform = ""
    for value in _values(claims, claim):
        slug, _, role = mapping.get(value, "").partition(":")
        if slug == PLATFORM:
            platform = max(platform, role, key=lambda name: PLATFORM_ROLES.index(name) if name else -1)
        elif slug:
            tenants[slug] = max(tenants.get(slug, role), role, key=ROLES.index)
    return Granted(tenants, platform)


def _values(claims: Mapping[str, Any], claim: str) -> Sequence[str]:
    found: Any = claims
    for part in claim.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return [found]
    return [value for value in found if isinstance(value, str)] if isinstance(found, list) else []
