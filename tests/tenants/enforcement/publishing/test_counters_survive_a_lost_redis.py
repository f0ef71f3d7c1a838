"""FLUSHALL, a restart that comes back empty, another generation: counters are rebuilt from the ledger before the first grant."""

from __future__ import annotations

from django.utils import timezone

from tenants.enforcement.counting.flushing import flush
from tenants.enforcement.protocol import keys
from tenants.enforcement.publishing import building, policy
from tenants.enforcement.redis.control import control
from tenants.models import TierQuota

from ..conftest import House


def live(house: House) -> int:
    return house.enforcer.consume(house.key()[0], cost=0).used


def test_after_flushall_the_month_continues_where_the_ledger_stands(house: House) -> None:
    text, _ = house.key()
    for _ in range(7):
        house.enforcer.consume(text)
    flush(timezone.now())
    house.server.flush()
    decision = house.enforcer.consume(text)
    assert (decision.code, decision.used) == ("", 8)


def test_this_processs_own_counts_are_handed_over_first(house: House) -> None:
    text, _ = house.key()
    for _ in range(7):
        house.enforcer.consume(text)
    house.server.flush()  # nobody flushed: only this process knows of the seven
    assert house.enforcer.consume(text).used == 8
    house.counts.flush(house.ledger.record_process_counts)
    flush(timezone.now())
    assert house.ledger.billed(house.acme.pk) == 8


def test_the_bill_adds_the_generations_up_and_doubles_nothing(house: House) -> None:
    text, _ = house.key()
    for round_number in range(1, 4):
        for _ in range(5):
            assert house.enforcer.consume(text).allowed
        for _ in range(round_number):
            flush(timezone.now())
            house.counts.flush(house.ledger.record_process_counts)
        house.server.flush()
    assert house.enforcer.consume(text).used == 16
    flush(timezone.now())
    assert house.ledger.billed(house.acme.pk) == 16


def test_a_spent_quota_stays_spent(house: House) -> None:
    TierQuota.objects.filter(tier=house.acme.tier, meter="api_calls").update(limit=5)
    policy.publish(house.acme.pk)
    text, _ = house.key()
    assert [house.enforcer.consume(text).allowed for _ in range(6)] == [True] * 5 + [False]
    house.server.flush()
    assert house.enforcer.consume(text).code == "quota_exceeded"


def test_a_restart_that_comes_back_empty(house: House) -> None:
    text, _ = house.key()
    for _ in range(3):
        house.enforcer.consume(text)
    house.server.restart()
    assert house.enforcer.consume(text).used == 4


def test_what_another_process_knew_is_added_when_it_arrives(house: House) -> None:
    text, _ = house.key()
    for _ in range(4):
        house.enforcer.consume(text)
    late, house.counts.__dict__["_threads"] = house.counts.total(), []  # another process holds these four
    house.server.flush()
    assert house.enforcer.consume(text).used == 1  # the ledger does not know of them yet
    rows = [building.CallCount(key[0], timezone.now(), key[2], key[3], key[4], count) for key, count in late.items()]
    house.ledger.record_process_counts("another", rows)
    building.rebase_after(rows)
    assert house.enforcer.consume(text, cost=0).used == 5


def test_nothing_is_granted_while_the_ledger_cannot_be_asked(house: House) -> None:
    from django.db import OperationalError

    text, _ = house.key()
    house.enforcer.consume(text)
    house.server.flush()
    house.restart_process()

    def broken(*_: object, **__: object) -> int:
        raise OperationalError("the database is away")

    house.ledger.used = broken  # type: ignore[method-assign]
    house.use(failure_policy="deny")
    decision = house.enforcer.consume(text)
    assert (decision.code, decision.retry_after) == ("enforcement_unavailable", 1)
    assert not any(field[:1] == b"g" for field in control().command("HKEYS", keys.tenant_key("acme")))
