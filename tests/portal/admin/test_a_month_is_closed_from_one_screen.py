from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from metering.admin.closing import month_states
from metering.alerts import unknown_usage
from metering.billing import closing
from metering.ledger import ingestion, rollups
from metering.models import (
    CreditNote,
    EmptyMonth,
    GapPolicy,
    GapShare,
    Invoice,
    InvoiceState,
    JobRun,
    JobState,
    LegalEntity,
    Meter,
    MeteringGap,
    Payment,
    Price,
    PriceBook,
    PriceBookVersion,
    QuarantinedEvent,
    TenantPriceBook,
)
from metering.usage import gap_shares
from tenants import calendar, periods
from tenants.models import AuditEntry, BillingPeriod, Tenant
from tests.metering.billing.invoices import issued_invoice
from tests.metering.events import event
from tests.tenants.cast import Cast

from .conftest import Browse, text_of

LAST = calendar.previous_month(calendar.month_key("UTC", timezone.now()))


@pytest.fixture
def olivia(cast: Cast, browse: Browse) -> Client:
    return browse("olivia")


@pytest.fixture
def used(cast: Cast) -> Tenant:
    """acme held ten GPU hours last month; its entity waits for five weeks with the invoice."""
    LegalEntity.objects.update(grace_hours=24 * 35)
    period = periods.period_by_key(cast.acme, LAST)
    at = period.ends_at - timedelta(hours=3)
    ingestion.book(cast.acme, [event("1", at, "10", "gpu_hours", model="H100")], at)
    rollups.run(at)
    return cast.acme


@pytest.fixture
def invoice(cast: Cast) -> Invoice:
    return issued_invoice(cast.acme)


def page(olivia: Client, **query: str) -> str:
    return text_of(olivia.get(reverse("admin:metering_invoice_close"), {"month": LAST, **query}))


def post(olivia: Client, **values: str) -> None:
    answer = olivia.post(f"{reverse('admin:metering_invoice_close')}?month={LAST}", values)
    assert answer.status_code == 302, text_of(answer)


def act(olivia: Client, what: str, invoice: Invoice, **values: str) -> str:
    url = reverse(f"admin:metering_invoice_{what}", args=[invoice.pk])
    return text_of(olivia.post(url, {"confirmed": "1", **values}, follow=True))


def test_it_is_started_shows_its_progress_and_ends(olivia: Client, used: Tenant) -> None:
    assert "Ended, no invoice" in page(olivia)
    post(olivia)
    run = JobRun.objects.get(task=closing.TASK)
    assert run.state == JobState.RUNNING
    post(olivia)
    assert JobRun.objects.filter(task=closing.TASK).count() == 1
    assert closing.work_queue(timezone.now()) == 1
    assert closing.work_queue(timezone.now()) == 0
    run.refresh_from_db()
    assert run.detail["outcomes"]["drafted"] == 1
    assert "1 drafted" in page(olivia)
    assert "acme" in page(olivia, state="grace")


def test_a_month_is_issued_before_its_time_with_a_reason(olivia: Client, used: Tenant) -> None:
    post(olivia, tenant="acme", confirmed="1", reason="the customer asked for it")
    invoice = Invoice.objects.get()
    assert invoice.state == InvoiceState.ISSUED
    entry = AuditEntry.objects.filter(table_name="metering_invoice").latest("id")
    assert (entry.actor, entry.reason) == ("user:olivia", "the customer asked for it")
    answer = olivia.post(
        f"{reverse('admin:metering_invoice_close')}?month={LAST}", {"tenant": "acme", "confirmed": "1"}
    )
    assert answer.status_code == 200, "no reason"


def test_a_void_month_waits_and_is_issued_again_with_a_reason(olivia: Client, invoice: Invoice) -> None:
    act(olivia, "void", invoice, reason="wrong customer")
    assert [each.outcome for each in closing.close(LAST, timezone.now()) if each.tenant.slug == "acme"] == ["void"]
    shown = page(olivia, state="held")
    assert "Void, waits for you" in shown
    assert "Issue again…" in shown
    post(olivia, tenant="acme", confirmed="1", reason="the right customer")
    again = Invoice.objects.get(state=InvoiceState.ISSUED)
    assert again.number != invoice.number
    entry = AuditEntry.objects.filter(table_name="metering_invoice").latest("id")
    assert (entry.actor, entry.reason) == ("user:olivia", "the right customer")


def test_what_waits_for_somebody_is_named(olivia: Client, used: Tenant) -> None:
    Meter.objects.filter(key="gpu_hours").update(gap_policy=GapPolicy.ASK)
    period = periods.period_by_key(used, LAST)
    MeteringGap.objects.create(
        tenant=used, collector="gpus", node="n", meter="gpu_hours", starts_at=period.ends_at - timedelta(hours=2),
        ends_at=period.ends_at - timedelta(hours=1), reason="no driver",
    )  # fmt: skip
    gap_shares.settle(timezone.now())
    assert "1 gap" in page(olivia, state="held")
    share = GapShare.objects.get()
    url = reverse("admin:metering_gapshare_decide", args=[share.pk])
    assert "10 hour an hour, H100" in text_of(olivia.get(url))
    olivia.post(url, {"confirmed": "1", "decision": "amount", "reason": "x"})
    share.refresh_from_db()
    assert share.waits, "a quantity is missing"
    olivia.post(url, {"confirmed": "1", "decision": "amount", "amount": "1.5", "reason": "measured by hand"})
    share.refresh_from_db()
    assert (share.amount, share.decided_by) == (Decimal("1.5"), "user:olivia")
    assert "No tenant." in page(olivia, state="held")


@pytest.mark.parametrize("month", ["2026-13", "july", "2026-1"])
def test_another_form_of_month_is_not_found(olivia: Client, month: str) -> None:
    assert olivia.get(reverse("admin:metering_invoice_close"), {"month": month}).status_code == 404


def test_support_looks_and_starts_nothing(browse: Browse, used: Tenant) -> None:
    sam = browse("sam")
    assert "Close the month" not in page(sam)
    assert sam.post(f"{reverse('admin:metering_invoice_close')}?month={LAST}").status_code == 403
    assert not JobRun.objects.exists()


def test_an_invoice_is_read_down_to_its_readings(olivia: Client, invoice: Invoice) -> None:
    text = text_of(olivia.get(reverse("admin:metering_invoice_change", args=[invoice.pk])))
    assert invoice.number in text
    assert 'name="_save"' not in text
    opened = reverse("admin:metering_invoice_line", args=[invoice.pk, 1])
    assert opened in text
    answer = olivia.get(opened)
    hour = answer.context["hours"][0].hour.isoformat()
    assert "last-month" in text_of(olivia.get(opened, {"hour": hour}))
    document = olivia.get(reverse("admin:metering_invoice_document", args=[invoice.pk, "json"]))
    assert document.content == invoice.snapshot.encode()


def test_money_is_given_back_up_to_what_is_left(olivia: Client, invoice: Invoice) -> None:
    assert "at most" in act(olivia, "credit", invoice, amount="25.01", reason="too much")
    for bad in ("NaN", "-1", "0", "x"):
        act(olivia, "credit", invoice, amount=bad, reason="bad")
    assert not CreditNote.objects.exists()
    act(olivia, "credit", invoice, amount="5", reason="outage")
    act(olivia, "credit", invoice, amount="", reason="the rest")
    assert [note.total for note in CreditNote.objects.order_by("pk")] == [Decimal("5.00"), Decimal("20.00")]
    invoice.refresh_from_db()
    assert invoice.state == InvoiceState.PAID, "nothing is open any more"


def test_a_payment_is_recorded_once(olivia: Client, invoice: Invoice) -> None:
    values = {"amount": "25.00", "received_on": "2026-01-05", "method": "bank", "reference": "4711"}
    assert "is open" in act(olivia, "pay", invoice, **{**values, "amount": "25.01"})
    act(olivia, "pay", invoice, **values)
    act(olivia, "pay", invoice, **values)
    payment = Payment.objects.get()
    assert (payment.amount, payment.recorded_by and payment.recorded_by.username) == (Decimal("25.00"), "olivia")
    invoice.refresh_from_db()
    assert invoice.state == InvoiceState.PAID


def test_void_asks_why(olivia: Client, invoice: Invoice) -> None:
    act(olivia, "void", invoice, reason="")
    invoice.refresh_from_db()
    assert invoice.state == InvoiceState.ISSUED
    act(olivia, "void", invoice, reason="wrong customer")
    invoice.refresh_from_db()
    assert (invoice.state, invoice.void_reason) == (InvoiceState.VOID, "wrong customer")


@pytest.mark.parametrize("grace", ["NaN", "-1", "1.5", "9999", "x"])
def test_a_grace_that_makes_no_sense_is_refused(olivia: Client, grace: str) -> None:
    from .conftest import form_values

    entity = LegalEntity.objects.get(is_default=True)
    url = reverse("admin:metering_legalentity_change", args=[entity.pk])
    values = form_values(olivia.get(url))
    assert olivia.post(url, {**values, "grace_hours": grace, "audit_reason": "x"}).status_code == 200
    entity.refresh_from_db()
    assert entity.grace_hours is None
    assert olivia.post(url, {**values, "grace_hours": "48", "audit_reason": "x"}).status_code == 302
    entity.refresh_from_db()
    assert entity.grace_hours == 48


def test_a_month_before_a_tenant_was_there_waits_for_nobody(olivia: Client, cast: Cast) -> None:
    BillingPeriod.objects.filter(key=LAST).delete()
    shown = olivia.get(reverse("admin:metering_invoice_close"), {"month": LAST})
    assert {each.state for each in shown.context["page_obj"]} == {"nothing"}
    assert "Nothing to invoice" in text_of(shown)
    assert "Issue now…" not in text_of(shown)


def test_a_month_in_which_nothing_was_used_is_nothing_to_invoice(olivia: Client, cast: Cast) -> None:
    period = periods.period_by_key(cast.acme, LAST)
    states = {each.tenant.slug: each.state for each in month_states(LAST, timezone.now())}
    assert states["acme"] == "open", "late usage can still reach it"
    EmptyMonth.objects.create(tenant=cast.acme, period=period, found_at=timezone.now())
    states = {each.tenant.slug: each.state for each in month_states(LAST, timezone.now())}
    assert states["acme"] == "nothing"


def only_the_h100_has_a_price() -> None:
    book = PriceBook.objects.create(slug="h100", name="H100", currency="USD")
    start = datetime(2020, 1, 1, tzinfo=UTC)
    version = PriceBookVersion.objects.create(book=book, number=1, starts_at=start)
    Price.objects.create(version=version, meter="gpu_hours", unit_price=Decimal(2), dim_key="model", dim_value="H100")
    version.published_at = start
    version.save()
    for tenant in Tenant.objects.all():
        TenantPriceBook.objects.create(tenant=tenant, book=book, starts_at=start, reason="a test")


def test_only_what_the_month_itself_used_without_a_price_waits(olivia: Client, cast: Cast) -> None:
    now = timezone.now()
    last, present = (periods.period_by_key(cast.acme, key) for key in (LAST, calendar.month_key("UTC", now)))
    only_the_h100_has_a_price()
    for tenant, period, id in ((cast.acme, last, "a"), (cast.globex, present, "g")):
        at = max(period.starts_at, min(period.ends_at, now) - timedelta(minutes=5))
        ingestion.book(tenant, [event(id, at, "10", "gpu_hours", model="X999")], at)
        rollups.run(at)
        unknown_usage.check_all(at)

    def waiting(month: str) -> dict[str, int]:
        return {each.tenant.slug: each.unpriced for each in month_states(month, now) if each.unpriced}

    unknown_usage.check_all(now)
    assert waiting(LAST) == {"acme": 1}
    assert waiting(present.key) == {"globex": 1}
    assert waiting(calendar.previous_month(LAST)) == {}


def test_the_page_is_called_what_it_is(olivia: Client) -> None:
    html = page(olivia)
    title = re.search(r"<title>(.*?)</title>", html, re.DOTALL)
    assert title is not None
    assert title[1].split()[:3] == ["Close", "a", "month"]
    header = html.partition('id="header-inner"')[2].partition("pa-filters")[0]
    assert "Close a month" in header
    assert ">Metering<" not in re.sub(r"\s", "", header)


def test_only_the_months_own_quarantine_holds_it_up(cast: Cast, olivia: Client) -> None:
    period = periods.period_by_key(cast.acme, LAST)
    before = periods.period_by_key(cast.acme, calendar.previous_month(LAST))
    times = {
        "first minute": period.starts_at + timedelta(minutes=1),  # in Zurich: still the month before in UTC
        "last minute": period.ends_at - timedelta(minutes=1),
        "before": before.ends_at - timedelta(minutes=1),
        "after": period.ends_at,
        "long ago": before.starts_at - timedelta(days=300),
    }
    for name, at in times.items():
        QuarantinedEvent.objects.create(
            tenant=cast.acme, source="/x", event_id=name, reason="too_old", payload={"time": at.isoformat()}
        )
    # globex lives in UTC and has no period of that month: its own midnights hold.
    for name, at in {"utc": calendar.month_bounds("UTC", LAST)[0], "earlier": period.starts_at}.items():
        QuarantinedEvent.objects.create(
            tenant=cast.globex, source="/x", event_id=name, reason="too_old", payload={"time": at.isoformat()}
        )
    found = {each.tenant.slug: (each.quarantined, each.elsewhere) for each in month_states(LAST, timezone.now())}
    assert found == {"acme": (2, 3), "globex": (1, 1)}

    text = page(olivia)
    rows = reverse("admin:metering_quarantinedevent_changelist")
    assert f"{rows}?tenant__id__exact={cast.acme.pk}&amp;month={LAST}" in text
    assert "2 in quarantine" in text
    assert "3 in quarantine of other months" in text
    listed = olivia.get(rows, {"tenant__id__exact": cast.acme.pk, "month": LAST})
    assert {row.event_id for row in listed.context["cl"].result_list} == {"first minute", "last minute"}
    assert olivia.get(rows, {"month": "no month"}).context["cl"].result_count == 0


def test_a_month_is_not_held_up_by_another_ones_quarantine(cast: Cast) -> None:
    at = periods.period_by_key(cast.acme, LAST).starts_at - timedelta(days=40)
    QuarantinedEvent.objects.create(
        tenant=cast.acme, source="/x", event_id="1", reason="too_old", payload={"time": at.isoformat()}
    )
    (acme,) = [each for each in month_states(LAST, timezone.now()) if each.tenant == cast.acme]
    assert (acme.is_held, acme.elsewhere) == (False, 1)
