from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from tenants import provisioning
from tenants.credentials import apikeys, operator_tokens
from tenants.enforcement.protocol import keys, wire
from tenants.enforcement.publishing import policy, reading
from tenants.enforcement.redis.control import control
from tenants.models import Override, Tenant, TenantBlock, Tier, TierRateLimit

from ..conftest import House


def test_a_new_tenants_key_works_with_the_limits_of_its_tier(house: House) -> None:
    text, _ = house.key()
    decision = house.enforcer.consume(text)
    assert decision.allowed
    assert {window.name: window.limit for window in decision.windows} == {"minute": 60, "hour": 1_000, "day": 10_000}
    assert (decision.quota, decision.tenant_id) == (1_000_000, house.acme.pk)


def test_an_override_is_in_force_on_the_next_call_and_ends_by_itself(house: House) -> None:
    text, _ = house.key()
    assert house.enforcer.consume(text).windows[0].limit == 60
    Override.objects.create(tenant=house.acme, kind="rate_limit", name="minute", limit=Decimal(7), reason="trial")
    policy.publish(house.acme.pk)
    assert house.enforcer.consume(text).windows[0].limit == 7
    Override.objects.update(valid_until=timezone.now() + timedelta(milliseconds=200))
    policy.publish(house.acme.pk)
    while house.enforcer.consume(text, cost=0).windows[0].limit == 7:
        pass
    assert house.enforcer.consume(text, cost=0).windows[0].limit == 60


def test_a_revoked_key_is_gone_at_once(house: House) -> None:
    text, key = house.key()
    assert house.enforcer.consume(text).allowed
    apikeys.revoke(key, by=None, actor="test")
    assert house.enforcer.consume(text).code == "invalid_key"


def test_suspension_and_its_end_are_in_force_on_the_next_call(house: House) -> None:
    text, _ = house.key()
    provisioning.suspend(house.acme, actor="test", reason="Unpaid invoice.")
    decision = house.enforcer.consume(text)
    assert (decision.code, decision.detail) == ("tenant_suspended", "Unpaid invoice.")
    provisioning.resume(house.acme, actor="test")
    assert house.enforcer.consume(text).allowed


def test_a_block_of_the_budget_is_told_with_its_code(house: House) -> None:
    text, _ = house.key()
    TenantBlock.objects.create(
        tenant=house.acme, action="block", code="budget_exhausted", origin="budget:1", detail="Spent."
    )
    policy.publish(house.acme.pk)
    assert house.enforcer.consume(text).code == "budget_exhausted"
    TenantBlock.objects.update(lifted_at=timezone.now())
    policy.publish(house.acme.pk)
    assert house.enforcer.consume(text).allowed


def test_a_throttled_tenant_keeps_a_tenth_of_its_windows(house: House) -> None:
    text, _ = house.key()
    TenantBlock.objects.create(
        tenant=house.acme, action="throttle", code="budget_exhausted", origin="budget:1", detail=""
    )
    policy.publish(house.acme.pk)
    assert [window.limit for window in house.enforcer.consume(text).windows] == [6, 100, 1_000]


def test_a_slow_publication_does_not_undo_a_quick_one(house: House) -> None:
    text, _ = house.key()
    slow = reading.read([house.acme.pk])
    TierRateLimit.objects.filter(tier=house.acme.tier, window="minute").update(limit=99)
    policy.publish(house.acme.pk)
    assert policy.send(control(), slow) == [False]
    assert house.enforcer.consume(text).windows[0].limit == 99


def test_reconciliation_publishes_what_was_missed_and_only_that(house: House) -> None:
    text, _ = house.key()
    globex = provisioning.create_tenant(slug="globex", name="Globex", actor="test")
    policy.publish_operators()
    assert policy.reconcile(timezone.now()) == 0
    TierRateLimit.objects.filter(tier=house.acme.tier, window="minute").update(limit=5)  # nobody published
    Tenant.objects.filter(pk=globex.pk).update(tier=Tier.objects.exclude(pk=house.acme.tier_id).first())
    assert policy.reconcile(timezone.now()) == 2
    assert house.enforcer.consume(text).windows[0].limit == 5
    assert policy.reconcile(timezone.now()) == 0


def test_reconciliation_undoes_what_somebody_wrote_into_redis(house: House) -> None:
    text, _ = house.key()
    assert house.enforcer.consume(text).allowed
    [field] = [name for name in control().command("HKEYS", keys.tenant_key("acme")) if name[:1] == b"k"]
    control().command("HDEL", keys.tenant_key("acme"), field)
    assert house.enforcer.consume(text).code == "invalid_key"
    policy.reconcile(timezone.now())
    assert house.enforcer.consume(text).allowed


def test_a_database_restored_from_a_backup_is_published_all_the_same(house: House) -> None:
    text, _ = house.key()
    for _ in range(5):
        policy.publish(house.acme.pk)
    Tenant.objects.filter(pk=house.acme.pk).update(policy_version=1)
    overrides_limit = Override.objects.create(
        tenant=house.acme, kind="rate_limit", name="minute", limit=Decimal(3), reason="after the restore"
    )
    policy.publish(house.acme.pk)
    assert house.enforcer.consume(text).windows[0].limit == overrides_limit.limit


def test_operator_tokens_are_keys_of_the_platform(house: House, django_user_model: type) -> None:
    staff = django_user_model.objects.create_user("olga", password="x" * 20, is_staff=True)
    issued = operator_tokens.create(staff, name="laptop", actor="test")
    decision = house.enforcer.consume(issued.text.encode(), route_class="portal")
    assert (decision.code, decision.windows[0].limit, decision.hour) == ("", 600, 0)
    assert wire.scope_names(decision.scopes) == set(wire.SCOPES)
    operator_tokens.revoke(issued.token, actor="test")
    assert house.enforcer.consume(issued.text.encode()).code == "invalid_key"


def test_every_scope_has_a_bit() -> None:
    from tenants.models.apikey import Scope

    assert set(Scope.values) <= set(wire.SCOPES)


def test_the_database_of_overrides_says_the_same_as_redis(house: House) -> None:
    text, _ = house.key()
    now = timezone.now()
    decision = house.enforcer.consume(text)
    limits = reading.effective_policy(Tenant.objects.get(pk=house.acme.pk), now)
    assert [window.limit for window in decision.windows] == [limits.window(w.name).limit for w in decision.windows]


def test_a_tiers_change_reaches_many_tenants_with_few_queries(house: House, django_assert_max_num_queries: Any) -> None:
    everybody = [provisioning.create_tenant(slug=f"tenant-{n}", name="T", actor="test") for n in range(30)]
    policy.publish(*(tenant.pk for tenant in everybody))
    TierRateLimit.objects.update(limit=77)
    with django_assert_max_num_queries(12):
        assert policy.publish(*(tenant.pk for tenant in everybody))
    for tenant in (everybody[0], everybody[-1]):
        text, _ = house.key(tenant)
        assert house.enforcer.consume(text).windows[0].limit == 77
