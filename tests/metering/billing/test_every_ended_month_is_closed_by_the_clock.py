from __future__ import annotations

from datetime import UTC, datetime, timedelta

from metering.billing import closing
from metering.billing.issuing import void
from metering.models import EmptyMonth, Invoice, InvoiceState
from tenants.models import AuditEntry, Tenant

from .conftest import AUGUST, Use

OCTOBER = datetime(2026, 10, 3, 9, 0, tzinfo=UTC)


def outcomes(now: datetime) -> list[tuple[str, str]]:
    return [(each.month, each.outcome) for each in closing.due(now)]


def used_in(use: Use, *months: int) -> None:
    for month in months:
        at = datetime(2026, month, 8, 12, tzinfo=UTC)
        use(f"job-{month}", "10", on=at, now=at + timedelta(days=1))


def test_a_month_that_was_skipped_is_made_up_for_oldest_first(acme: Tenant, use: Use) -> None:
    used_in(use, 6, 7, 9)
    assert outcomes(OCTOBER) == [
        ("2026-06", "issued"),
        ("2026-07", "issued"),
        ("2026-08", "nothing to invoice"),
        ("2026-09", "issued"),
    ]
    numbers = Invoice.objects.order_by("sequence").values_list("period__key", flat=True)
    assert list(numbers) == ["2026-06", "2026-07", "2026-09"]


def test_a_month_with_nothing_is_looked_at_until_no_late_usage_can_arrive(acme: Tenant, use: Use) -> None:
    used_in(use, 6, 8)
    assert ("2026-07", "nothing to invoice") in outcomes(datetime(2026, 9, 3, tzinfo=UTC))
    assert not EmptyMonth.objects.exists()
    late = datetime(2026, 9, 8, tzinfo=UTC)
    assert outcomes(late) == [("2026-07", "nothing to invoice")]
    assert outcomes(late) == []
    assert EmptyMonth.objects.get().period.key == "2026-07"


def test_a_month_that_begins_to_cost_something_late_is_still_invoiced(acme: Tenant, use: Use) -> None:
    used_in(use, 6)
    now = datetime(2026, 8, 20, 9, 0, tzinfo=UTC)
    assert ("2026-07", "nothing to invoice") in outcomes(now)
    use("late", "1", on=datetime(2026, 7, 25), now=now)
    assert outcomes(now) == [("2026-07", "issued")]


def test_a_void_month_waits_for_a_person(acme: Tenant, use: Use) -> None:
    used_in(use, 7)
    assert outcomes(AUGUST) == [("2026-07", "issued")]
    void(Invoice.objects.get(), "wrong customer", AUGUST)
    assert outcomes(AUGUST) == []
    assert [each.outcome for each in closing.close("2026-07", AUGUST)] == ["void"]
    assert Invoice.objects.count() == 1

    again = closing.issue_now(acme, "2026-07", AUGUST, actor="user:olivia", reason="the right customer")
    assert (again.state, again.number) == (InvoiceState.ISSUED, "INV-000002")
    entry = AuditEntry.objects.filter(table_name="metering_invoice").latest("id")
    assert (entry.actor, entry.reason) == ("user:olivia", "the right customer")
    assert [each.outcome for each in closing.close("2026-07", AUGUST)] == ["already issued"]
