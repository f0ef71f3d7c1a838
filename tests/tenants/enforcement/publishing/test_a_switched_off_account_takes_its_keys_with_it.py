from __future__ import annotations

from django.utils import timezone

from portal.embedded import RedisServer
from tenants.enforcement.publishing import policy
from tenants.models import Membership, User
from tenants.people import memberships

from ..conftest import House


def member(house: House) -> Membership:
    user = User.objects.create_user("bob", "bob@acme.example")
    return memberships.add(house.acme, user, "member", by=None, actor="test")


def test_and_gives_them_back(house: House) -> None:
    own, _ = house.key(member=member(house))
    service, _ = house.key()
    User.objects.update(is_active=False)
    policy.publish(house.acme.pk)
    assert house.enforcer.consume(own).code == "invalid_key"
    assert house.enforcer.consume(service).allowed
    User.objects.update(is_active=True)
    policy.publish(house.acme.pk)
    assert house.enforcer.consume(own).allowed


def test_reconciliation_notices_it(house: House) -> None:
    own, _ = house.key(member=member(house))
    assert house.enforcer.consume(own).allowed
    User.objects.update(is_active=False)
    policy.reconcile(timezone.now())
    assert house.enforcer.consume(own).code == "invalid_key"


def test_the_database_admits_none_of_them_while_redis_is_away(house: House, redis_server: RedisServer) -> None:
    own, _ = house.key(member=member(house))
    service, _ = house.key()
    house.use(failure_policy="allow")
    User.objects.update(is_active=False)
    redis_server.kill()
    assert house.enforcer.consume(service).allowed
    assert house.enforcer.consume(own).code == "enforcement_unavailable"
