from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from metering.costing import costs
from metering.ledger import ingestion, rollups
from metering.models import GapDecision, GapPolicy, GapShare, Meter, MeteringGap
from metering.usage import gap_shares
from tenants.models import AuditEntry, Tenant
from tenants.problems import Conflict, Invalid
from tests.metering.events import event

START = datetime(2026, 7, 8, 12, tzinfo=UTC)
NOW = datetime(2026, 7, 15, 12, 0, tzinfo=UTC)
Gap = Callable[..., MeteringGap]


@pytest.fixture
def policy(db: None) -> Callable[..., None]:
    def choose(policy: str, cap_seconds: int = 3600, meter: str = "gpu_hours") -> None:
        Meter.objects.filter(key=meter).update(gap_policy=policy, gap_cap_seconds=cap_seconds)

    return choose


@pytest.fixture
def used(acme: Tenant) -> None:
    """acme held two H100 in the last full hour before the gap, and one in the hour before that."""
    ingestion.book(
        acme,
        [
            event("before", START - timedelta(hours=2), "1", "gpu_hours", model="H100", node="gpu-1", device="GPU-a"),
            event("last", START - timedelta(hours=1), "2", "gpu_hours", model="H100", node="gpu-1", device="GPU-a"),
        ],
        NOW,
    )
    rollups.run(NOW)


def gap(tenant: Tenant | None = None, hours: float = 3, **rest: str) -> MeteringGap:
    values = {"collector": "gpus", "node": "gpu-1", "meter": "gpu_hours", "reason": "the driver did not answer"} | rest
    return MeteringGap.objects.create(tenant=tenant, starts_at=START, ends_at=START + timedelta(hours=hours), **values)


def hours(tenant: Tenant) -> Decimal:
    return costs.statement(tenant, "2026-07", NOW).quantity("gpu_hours")


def test_nothing_is_billed_unless_the_meter_says_so(acme: Tenant, used: None) -> None:
    gap(acme)
    gap_shares.settle(NOW)
    assert hours(acme) == 3
    assert gap_shares.in_words(GapShare.objects.get()) == "Nothing is billed for it."


def test_the_last_value_goes_on_up_to_the_cap(acme: Tenant, used: None, policy: Callable[..., None]) -> None:
    policy(GapPolicy.LAST, 5400)
    gap(acme)
    gap_shares.settle(NOW)
    assert hours(acme) == 3 + 2 * Decimal("1.5")
    (bulk,) = costs.statements([acme], NOW, "2026-07")
    assert bulk.total == costs.statement(acme, "2026-07", NOW).total


def test_a_gap_of_a_collector_concerns_whoever_used_it(
    acme: Tenant, globex: Tenant, used: None, policy: Callable[..., None]
) -> None:
    policy(GapPolicy.LAST)
    gap()
    gap_shares.settle(NOW)
    assert [share.tenant for share in GapShare.objects.all()] == [acme]
    assert (hours(acme), hours(globex)) == (5, 0)


@pytest.mark.parametrize("other", [{"node": "gpu-2"}, {"subject": "GPU-b"}])
def test_a_gap_elsewhere_concerns_nobody_here(
    acme: Tenant, used: None, policy: Callable[..., None], other: dict[str, str]
) -> None:
    policy(GapPolicy.LAST)
    gap(**other)
    gap_shares.settle(NOW)
    assert not GapShare.objects.exists()


def test_a_later_policy_changes_no_settled_gap(acme: Tenant, used: None, policy: Callable[..., None]) -> None:
    gap(acme)
    gap_shares.settle(NOW)
    policy(GapPolicy.LAST)
    assert gap_shares.settle(NOW) == 0
    assert hours(acme) == 3


def test_an_open_gap_is_not_settled(acme: Tenant, used: None, policy: Callable[..., None]) -> None:
    policy(GapPolicy.LAST)
    MeteringGap.objects.create(collector="gpus", node="gpu-1", meter="gpu_hours", starts_at=START, reason="x")
    assert gap_shares.settle(NOW) == 0


def test_ask_bills_nothing_until_somebody_decides(acme: Tenant, used: None, policy: Callable[..., None]) -> None:
    policy(GapPolicy.ASK)
    gap(acme)
    gap_shares.settle(NOW)
    (share,) = gap_shares.undecided()
    assert hours(acme) == 3
    decide(share, GapDecision.LAST)
    assert hours(acme) == 5
    decide(share, GapDecision.AMOUNT, Decimal("4.5"))
    assert hours(acme) == Decimal("7.5")
    decide(share, GapDecision.NONE)
    assert hours(acme) == 3
    assert gap_shares.undecided() == []
    entry = AuditEntry.objects.filter(table_name="metering_gapshare", operation="UPDATE").latest("id")
    assert (entry.actor, entry.reason) == ("user:olivia", "agreed by mail")


@pytest.mark.parametrize(
    ("decision", "amount", "reason"),
    [
        ("amount", None, "why"),
        ("amount", Decimal(-1), "why"),
        ("amount", Decimal("NaN"), "why"),
        ("amount", Decimal("Infinity"), "why"),
        ("amount", Decimal("0.0000001"), "why"),
        ("none", Decimal(1), "why"),
        ("maybe", None, "why"),
        ("none", None, "  "),
    ],
)
def test_decisions_that_make_no_sense_write_nothing(
    acme: Tenant, used: None, policy: Callable[..., None], decision: str, amount: Decimal | None, reason: str
) -> None:
    policy(GapPolicy.ASK)
    gap(acme)
    gap_shares.settle(NOW)
    share = GapShare.objects.get()
    with pytest.raises(Invalid):
        gap_shares.decide(share, decision, amount=amount, reason=reason, actor="user:olivia", now=NOW)
    share.refresh_from_db()
    assert share.waits


def test_there_is_no_last_value_where_nothing_was_in_use(acme: Tenant, policy: Callable[..., None]) -> None:
    policy(GapPolicy.ASK)
    gap(acme)
    gap_shares.settle(NOW)
    with pytest.raises(Conflict, match="no last value"):
        decide(GapShare.objects.get(), GapDecision.LAST)


def test_a_level_goes_on_where_its_last_reading_no_longer_counts(acme: Tenant, policy: Callable[..., None]) -> None:
    Meter.objects.filter(key="storage_gb").update(
        hold_seconds=86_400, gap_policy=GapPolicy.LAST, gap_cap_seconds=2 * 86_400
    )
    first = datetime(2026, 7, 1, tzinfo=UTC)
    ingestion.book(
        acme, [event("a", first, "310", "storage_gb"), event("b", first + timedelta(days=9), "0", "storage_gb")], NOW
    )
    rollups.run(NOW)
    assert costs.statement(acme, "2026-07", NOW).quantity("storage_gb") == 10  # one day of 31
    MeteringGap.objects.create(
        tenant=acme, collector="disks", node="n", meter="storage_gb", starts_at=first + timedelta(minutes=5),
        ends_at=first + timedelta(days=9), reason="unmounted",
    )  # fmt: skip
    gap_shares.settle(NOW)
    assert costs.statement(acme, "2026-07", NOW).quantity("storage_gb") == 30  # and two more, the cap


def decide(share: GapShare, decision: str, amount: Decimal | None = None) -> None:
    gap_shares.decide(share, decision, amount=amount, reason="agreed by mail", actor="user:olivia", now=NOW)
