"""The cast with three weeks of usage behind it: people, keys, a budget with alerts, an override, calls, GPU hours, storage."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import sin

from django.utils import timezone

from metering.ledger import counters, ingestion, rollups
from metering.models import Budget, BudgetAlert, BudgetThreshold
from tenants.credentials import apikeys
from tenants.enforcement.counting.ledger import CallCount
from tenants.limiting import overrides
from tenants.models import ApiKey, Membership, Role, Tenant, Tier, User
from tenants.people import memberships

PASSWORD = "demo-demo-demo"
ROLES = {"alice": Role.OWNER, "ada": Role.ADMIN, "carol": Role.BILLING, "bob": Role.MEMBER, "victor": Role.VIEWER}
DAYS = 24


@dataclass
class Stage:
    """What the tests name."""

    acme: Tenant
    people: dict[str, User]
    keys: dict[str, ApiKey]
    now: datetime

    def role_of(self, name: str) -> str:
        return Membership.objects.get(tenant=self.acme, user=self.people[name]).role

    def join(self, name: str) -> None:
        """One more viewer, for a test that changes what they may do."""
        self.people[name] = User.objects.create_user(name, f"{name}@acme.example")
        Membership.objects.create(tenant=self.acme, user=self.people[name], role=Role.VIEWER)

    def issue(self, name: str) -> ApiKey:
        """One more key of alice's; the newest stands first in the list."""
        alice = Membership.objects.get(tenant=self.acme, user=self.people["alice"])
        return apikeys.create(self.acme, name=name, scopes=["decide"], by=alice, member=alice, actor="user:alice").key

    def use_calls(self, count: int) -> None:
        """So many more calls in the present hour."""
        _count(self.acme, self.keys["gateway"], "later", [(timezone.now(), count)])
        rollups.run(timezone.now())


def build() -> Stage:
    now = timezone.now()
    tier = Tier.objects.get(slug="standard")
    acme = Tenant.objects.create(slug="acme", name="Acme Radiology", tier=tier, time_zone="Europe/Zurich")
    globex = Tenant.objects.create(slug="globex", name="Globex Imaging", tier=tier)
    people = {name: User.objects.create_user(name, f"{name}@acme.example", PASSWORD) for name in (*ROLES, "mallory")}
    for name, role in ROLES.items():
        memberships.add(acme, people[name], role, by=None, actor="operator:olivia")
    memberships.add(globex, people["mallory"], Role.OWNER, by=None, actor="operator:olivia")
    memberships.add(globex, people["alice"], Role.VIEWER, by=None, actor="operator:olivia")
    stage = Stage(acme, people, _keys(acme, people, now), now)
    _calls(stage)
    _events(stage)
    rollups.run(now)
    overrides.set_limit(
        acme,
        "quota",
        "gpu_hours",
        150,
        reason="Paper deadline, ticket 4711",
        actor="operator:olivia",
        valid_until=now + timedelta(days=8),
    )
    _budget(acme, now)
    return stage


def _keys(acme: Tenant, people: dict[str, User], now: datetime) -> dict[str, ApiKey]:
    alice = Membership.objects.get(tenant=acme, user=people["alice"])
    bob = Membership.objects.get(tenant=acme, user=people["bob"])

    def issue(name: str, scopes: list[str], by: Membership, member: Membership | None, days: int | None) -> ApiKey:
        ends = now + timedelta(days=days) if days else None
        return apikeys.create(
            acme, name=name, scopes=scopes, by=by, member=member, actor=f"user:{by.user}", expires_at=ends
        ).key

    keys = {
        "gateway": issue("Gateway", ["decide", "usage:write"], alice, None, None),
        "export": issue("Nightly export", ["usage:read", "cost:read"], alice, alice, 90),
        "notebook": issue("Notebook", ["decide", "usage:read"], bob, bob, 4),
    }
    old = issue("Old notebook", ["decide"], bob, bob, None)
    apikeys.revoke(old, by=bob, actor="user:bob")
    return keys


def _calls(stage: Stage) -> None:
    start = stage.now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    for name, base in (("gateway", 900), ("notebook", 120), ("export", 40)):
        hours = [start - timedelta(hours=ago) for ago in range(DAYS * 24)]
        counted = [
            (hour, int(base * (1.2 + sin(hour.hour / 3.8)) * (0.5 if hour.weekday() > 4 else 1))) for hour in hours
        ]
        _count(stage.acme, stage.keys[name], "one", counted)


def _count(acme: Tenant, key: ApiKey, generation: str, counted: list[tuple[datetime, int]]) -> None:
    rows = [
        CallCount(
            acme.pk,
            at.astimezone(UTC).replace(minute=0, second=0, microsecond=0),
            generation,
            key.key_id,
            route,
            int(count * part),
        )
        for at, count in counted
        for route, part in (("default", 0.6), ("ml", 0.4))
    ]
    counters.CallLedger().record_redis_counts(rows)


def _events(stage: Stage) -> None:
    bob = Membership.objects.get(tenant=stage.acme, user=stage.people["bob"])
    events = []
    for ago in range(DAYS):
        at = stage.now - timedelta(days=ago, minutes=5)
        for model, hours in (("H100", 3.1 + sin(ago)), ("A100", 1.4)):
            events.append(_event("gpu_hours", f"{model}-{ago}", at, hours, {"model": model, "user": bob.subject}))
        events.append(_event("storage_gb", f"s-{ago}", at, 430 - 5 * ago, {"volume": "archive"}))
        events.append(_event("storage_gb", f"h-{ago}", at, 60 - ago, {"volume": "hot"}))
    results = ingestion.book(stage.acme, events, stage.now)
    assert {result.status for result in results} == {"accepted"}, results


def _event(kind: str, ident: str, at: datetime, quantity: float, dims: dict[str, str]) -> dict[str, object]:
    data = {"quantity": Decimal(f"{quantity:.3f}"), **dims}
    return {
        "specversion": "1.0",
        "type": kind,
        "source": "/tests/browser",
        "id": ident,
        "time": at.isoformat(),
        "data": data,
    }


def _budget(acme: Tenant, now: datetime) -> None:
    budget = Budget.objects.create(tenant=acme, name="Monthly budget", amount=Decimal(900))
    for percent in (80, 90, 100):
        BudgetThreshold.objects.create(budget=budget, tenant=acme, percent=percent)
    key = f"{now:%Y-%m}"
    BudgetAlert.objects.create(
        budget=budget, tenant=acme, period_key=key, percent=80, cost=Decimal("721.40"), amount=Decimal(900)
    )
