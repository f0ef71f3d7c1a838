"""Behind "who hits limits most": refusals reach the database by hour and key, increments are kept when it cannot be written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from tenants import access
from tenants.enforcement import engine
from tenants.enforcement.counting import refused_hours
from tenants.enforcement.counting.refusals import Refusals
from tenants.limiting import overrides, refused_calls
from tenants.models import Membership, RefusedHour, Role, Tenant, Tier, User

from ..conftest import House
from ..stage import Stage

NOW = datetime(2026, 7, 15, 12, 30, tzinfo=UTC)
HOUR = int(NOW.replace(minute=0).timestamp())


@pytest.fixture
def acme(db: None) -> Tenant:
    return Tenant.objects.create(slug="acme", name="Acme", tier=Tier.objects.get(slug="standard"))


def test_only_what_a_limit_refused_counts(stage: Stage) -> None:
    stage.tenant(windows={"minute": 3, "hour": None, "day": None})
    text, enforcer = stage.key(), stage.enforcer()
    codes = [enforcer.consume(text).code for _ in range(5)]
    enforcer.consume(text, cost=0)
    enforcer.consume(text[:-1] + (b"B" if text.endswith(b"A") else b"A"))
    found: dict[object, int] = {}
    stage.counts.refusals.flush(found.update)
    assert codes.count("rate_limit_exceeded") == 2
    ((slug, hour, key_id, by), calls), *others = found.items()  # type: ignore[misc]
    assert (slug, by, calls, others) == ("acme", "minute", 2, [])
    assert hour % 3600 == 0
    assert text.decode().split("_")[3] == key_id


def test_refusals_of_a_spent_quota_reach_the_database(house: House) -> None:
    text, key = house.key()
    overrides.set_limit(house.acme, "quota", "api_calls", 1, reason="test", actor="test")
    assert [house.enforcer.consume(text).code for _ in range(3)].count("quota_exceeded") == 2
    house.counts.refusals.flush(engine.write_refusals)
    house.enforcer.consume(text)
    house.counts.refusals.flush(engine.write_refusals)
    (row,) = RefusedHour.objects.all()
    assert (row.tenant, row.key_id, row.refused_by, row.calls) == (house.acme, key.key_id, "month", 3)


def test_counts_stay_while_the_database_cannot_be_written() -> None:
    refusals = Refusals()
    row = ("acme", HOUR, "k" * 16, "minute")
    refusals.add(row)

    def down(rows: object) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        refusals.flush(down)
    refusals.add(row)
    found: dict[object, int] = {}
    refusals.flush(found.update)
    assert found == {row: 2}


def test_keys_of_a_member_are_one_row_and_old_hours_are_forgotten(acme: Tenant) -> None:
    bob = Membership.objects.create(tenant=acme, user=User.objects.create_user("bob"), role=Role.MEMBER)
    week = HOUR - 3 * 86_400
    refused_hours.record({
        ("acme", HOUR, bob.subject + "aaaaaaaa", "minute"): 5,
        ("acme", week, bob.subject + "bbbbbbbb", "day"): 9,
        ("acme", week - 3600, bob.subject + "bbbbbbbb", "minute"): 6,
        ("acme", HOUR, "servicekservicek", "month"): 30,
        ("acme", HOUR - 8 * 86_400, "servicekservicek", "month"): 1_000,
        ("nobody", HOUR, "servicekservicek", "month"): 7,
    })  # fmt: skip
    service, person = refused_calls.most_refused(acme, NOW)
    assert (service.person, service.by, service.day, service.week) == ("", "month", 30, 30)
    assert (person.person, person.by, person.day, person.week) == ("bob", "minute", 5, 20)
    assert [each.person for each in refused_calls.most_refused(acme, NOW, member_id=bob.pk)] == ["bob"]
    assert refused_calls.old(NOW + timedelta(days=29)).count() == 1


def test_another_tenants_refusals_are_behind_the_wall(acme: Tenant) -> None:
    globex = Tenant.objects.create(slug="globex", name="Globex", tier=acme.tier)
    refused_hours.record({("acme", int(timezone.now().timestamp()), "k" * 16, "minute"): 5})
    with access.tenant_scope(globex):
        assert not RefusedHour.objects.exists()
        assert refused_calls.most_refused(acme, timezone.now()) == []
    with access.tenant_scope(acme):
        assert RefusedHour.objects.count() == 1
