"""The demo's people and tenants, made through the same functions as real ones. Marked as demo by their mail addresses."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from allauth.account.models import EmailAddress

from tenants import provisioning
from tenants.credentials import apikeys, operator_tokens
from tenants.models import Membership, Tenant, User
from tenants.people import memberships

ACTOR = "system:demo"
REASON = "demo data"


@dataclass(frozen=True)
class DemoTenant:
    """One tenant of the demo: who they are, and how much they use on an average working day."""

    slug: str
    name: str
    tier: str
    time_zone: str
    people: tuple[tuple[str, str], ...]
    calls_a_day: int
    gpu_hours_a_day: float
    models: tuple[tuple[str, float], ...]
    storage_gb: float
    budget_used_percent: int
    services: tuple[str, ...] = ("gateway", "inference")
    projects: tuple[str, ...] = field(default=("mammography", "chest-ct", "research"))


TENANTS = (
    DemoTenant(
        "acme", "Acme Radiology", "standard", "Europe/Zurich", (("alice", "owner"), ("bob", "member"), ("carol", "billing")),
        calls_a_day=26_000, gpu_hours_a_day=2.6, models=(("H100", 0.25), ("A100", 0.45), ("L4", 0.3)), storage_gb=610, budget_used_percent=79,
    ),
    DemoTenant(
        "globex", "Globex Research Hospital", "scale", "America/New_York", (("mallory", "owner"), ("trent", "admin"), ("victor", "viewer")),
        calls_a_day=190_000, gpu_hours_a_day=46, models=(("H100", 0.6), ("A100", 0.4)), storage_gb=9_400, budget_used_percent=64,
        projects=("pathology", "genomics", "neuro-mri"),
    ),
    DemoTenant(
        "initech", "Initech Diagnostics", "starter", "Asia/Kolkata", (("peter", "owner"), ("milton", "member")),
        calls_a_day=3_900, gpu_hours_a_day=0.12, models=(("L4", 1.0),), storage_gb=71, budget_used_percent=93, projects=("triage",),
    ),
)  # fmt: skip


def make() -> dict[str, Any]:
    """Create operator, tenants, people and keys; answers the credentials, which are known only now."""
    operator, password = _person("olga", staff=True)
    token = operator_tokens.create(operator, name="Demo operator", actor=ACTOR, reason=REASON)
    return {
        "operator": {"username": operator.username, "password": password, "token": token.text},
        "tenants": [_tenant(plan) for plan in TENANTS],
    }


def _tenant(plan: DemoTenant) -> dict[str, Any]:
    tenant = provisioning.create_tenant(
        slug=plan.slug,
        name=plan.name,
        tier=provisioning.tier_by_slug(plan.tier),
        time_zone=plan.time_zone,
        contact_email=f"billing@{plan.slug}.example",
        actor=ACTOR,
        reason=REASON,
    )
    users, members = [], []
    for username, role in plan.people:
        person, password = _person(username, tenant=plan.slug)
        members.append(memberships.add(tenant, person, role, by=None, actor=ACTOR, reason=REASON))
        users.append({"username": username, "password": password, "role": role})
    keys = {name: _key(tenant, name, "service") for name in plan.services}
    keys |= {
        member.user.username: _key(tenant, f"{member.user.username}'s key", "decide", member) for member in members
    }
    admin = _key(tenant, "Automation", "admin")
    return {"slug": plan.slug, "tier": plan.tier, "api_key": admin, "users": users, "keys": keys}


def _key(tenant: Tenant, name: str, preset: str, member: Membership | None = None) -> str:
    scopes = apikeys.PRESETS.get(preset, frozenset({preset}))
    return apikeys.create(
        tenant,
        name=name,
        scopes=scopes & apikeys.allowed_scopes(member) or apikeys.allowed_scopes(member),
        by=None,
        member=member,
        actor=ACTOR,
        reason=REASON,
    ).text


def _person(username: str, *, tenant: str = "aurelius", staff: bool = False) -> tuple[User, str]:
    password = secrets.token_urlsafe(12)
    user = User.objects.create_user(
        username, f"{username}@{tenant}.example", password, first_name=username.capitalize()
    )
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    if staff:
        user.is_staff = user.is_superuser = True
        user.save(update_fields=["is_staff", "is_superuser"])
    return user, password
