from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from tenants.limiting import overrides
from tenants.models import AuditEntry, Override
from tenants.problems import Invalid

from .conftest import Ask


def limit_of(tenant: Any, ahead: timedelta = timedelta(seconds=1)) -> Any:
    return overrides.effective_policy(tenant, timezone.now() + ahead).quota("gpu_hours")


def test_in_full_for_good(ask: Ask, decide: Any, cast: Any) -> None:
    row = decide(ask())
    assert (row.state, row.granted, row.decided_by) == ("approved", 150, cast.people["olivia"])
    found = limit_of(cast.acme)
    assert (found.limit, found.override_id, found.valid_until) == (150, row.override_id, None)
    assert found.reason == f"Request {str(row.public_id)[:8]}"


def test_in_part_and_for_a_while(ask: Ask, decide: Any, cast: Any) -> None:
    until = timezone.now() + timedelta(days=3)
    row = decide(ask(), granted=Decimal(120), valid_until=until, reason="Until the new nodes are there")
    assert limit_of(cast.acme).limit == 120
    assert limit_of(cast.acme, timedelta(days=4)).limit == 100, "it ends by itself"
    assert row.override.reason.endswith(": Until the new nodes are there")


@pytest.mark.parametrize(
    ("terms", "pointer"),
    [
        ({"granted": Decimal(151)}, "/granted"),
        ({"granted": Decimal(100), "reason": "x"}, "/granted"),
        ({"granted": Decimal("NaN")}, "/granted"),
        ({"granted": Decimal(-5)}, "/granted"),
        ({"granted": Decimal(120)}, "/reason"),
        ({"reason": "x" * 251}, "/reason"),
        ({"valid_until": timezone.now() - timedelta(minutes=1)}, "/valid_until"),
    ],
)
def test_bad_terms_are_refused_and_it_still_waits(ask: Ask, decide: Any, terms: dict[str, Any], pointer: str) -> None:
    row = ask()
    with pytest.raises(Invalid) as refused:
        decide(row, **terms)
    assert [each.pointer for each in refused.value.errors] == [pointer]
    row.refresh_from_db()
    assert (row.state, Override.objects.count()) == ("pending", 0)


def test_how_the_quota_acts_stays(ask: Ask, decide: Any, cast: Any) -> None:
    overrides.set_limit(cast.acme, "quota", "gpu_hours", 110, mode="soft", reason="x", actor="test")
    decide(ask(), valid_until=timezone.now() + timedelta(days=1))
    assert limit_of(cast.acme).mode == "soft"


def test_a_boost_gives_way_to_the_former_override(ask: Ask, decide: Any, cast: Any) -> None:
    overrides.set_limit(cast.acme, "quota", "gpu_hours", 110, reason="x", actor="test")
    decide(ask(), valid_until=timezone.now() + timedelta(days=1))
    assert limit_of(cast.acme, timedelta(days=2)).limit == 110


def test_who_and_why_stand_in_the_trail(ask: Ask, decide: Any) -> None:
    row = decide(ask("bob"), reason="Agreed by phone")
    entries = AuditEntry.objects.filter(table_name="tenants_quotarequest", row_id=str(row.pk)).order_by("id")
    assert [(entry.operation, entry.actor) for entry in entries] == [("INSERT", "user:bob"), ("UPDATE", "user:olivia")]
    assert entries[1].reason == "Agreed by phone"
    assert entries[1].new["state"] == "approved"
