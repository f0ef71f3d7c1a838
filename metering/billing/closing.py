"""Closing a month: a draft for every tenant, and after the grace time the invoice. Safe to repeat, to interrupt, to run twice at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Literal

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q

from tenants import audit, calendar, periods
from tenants.models import BillingPeriod, Tenant

from .. import jobs, memo
from ..models import GapPolicy, GapShare, Invoice, InvoiceState, JobRun, JobState
from . import announcing
from .drafting import PeriodOpenError, draft, prepare
from .issuing import InvoiceStateError, freeze, issue
from .parties import NoEntityError, entity_for, grace_of, profile_of

Outcome = Literal[
    "drafted", "issued", "already issued", "nothing to invoice", "not ended", "waits for a decision", "failed"
]
TASK = "close month"
EVERY = 20
AT_ONCE = 20
MOST_FAILURES = 20


@dataclass(frozen=True, slots=True)
class Closed:
    """What became of one tenant's month. `detail` holds the number of the invoice, or the error."""

    tenant: Tenant
    outcome: Outcome
    detail: str = ""


def close(month: str, now: datetime) -> Iterator[Closed]:
    """Close 'YYYY-MM' for every tenant, one transaction each; yields as it goes. Raises ValueError for another form of month."""
    calendar.parse_month(month)
    everyone = Tenant.objects.select_related("tier").order_by("pk").iterator(chunk_size=500)
    while some := list(islice(everyone, AT_ONCE)):
        # Meters and prices are read once for some tenants. What is published meanwhile is adjusted on the next invoice.
        with memo.remembering():
            found = [close_tenant(tenant, month, now) for tenant in some]
        yield from found


def close_tenant(tenant: Tenant, month: str, now: datetime) -> Closed:
    """Draft the tenant's month, or issue it when its grace time has passed. Never raises for one tenant's trouble: it is reported."""
    period = periods.period_by_key(tenant, month)
    issued = Invoice.objects.filter(
        tenant=tenant, period=period, state__in=[InvoiceState.ISSUED, InvoiceState.PAID]
    ).first()
    if issued is not None:
        return Closed(tenant, "already issued", issued.number)
    if now < period.ends_at:
        return Closed(tenant, "not ended")
    try:
        final = now >= period.ends_at + grace_of(entity_for(profile_of(tenant)))
        with audit.acting("system:invoicing", f"closing {month}"):
            if not final:
                return _draft(tenant, period, now)
            if waits_for_decision(tenant, period):
                return _wait(tenant, period, now)
            return _issue(tenant, period, now)
    except NoEntityError as error:
        return Closed(tenant, "failed", str(error)[:300])
    except PeriodOpenError:
        return Closed(tenant, "not ended")
    except Exception as error:  # one tenant's trouble must not keep the others from their invoices
        return Closed(tenant, "failed", f"{type(error).__name__}: {error}"[:300])


def _draft(tenant: Tenant, period: BillingPeriod, now: datetime) -> Closed:
    prepared = prepare(tenant, period, now)
    invoice = prepared.invoice
    if not prepared.has_lines:
        invoice.delete()
        return Closed(tenant, "nothing to invoice")
    return Closed(tenant, "drafted", f"{invoice.total} {invoice.currency}")


def waits_for_decision(tenant: Tenant, period: BillingPeriod) -> bool:
    """Whether a gap of the period is to be decided upon by an operator: until then the invoice stays a draft."""
    return GapShare.objects.filter(
        tenant=tenant,
        policy=GapPolicy.ASK,
        decision="",
        starts_at__lt=period.ends_at,
        ends_at__gt=period.starts_at,
    ).exists()


def _wait(tenant: Tenant, period: BillingPeriod, now: datetime) -> Closed:
    drafted = _draft(tenant, period, now)
    return Closed(tenant, "waits for a decision", "a metering gap") if drafted.outcome == "drafted" else drafted


def issue_now(tenant: Tenant, month: str, now: datetime, *, actor: str, reason: str) -> Invoice:
    """Issue a tenant's ended month whatever is left of its grace time, and with gaps undecided: what comes later is adjusted.

    Raises InvoiceStateError without a reason or when there is nothing to invoice; PeriodOpenError; NoEntityError.
    """
    if not reason.strip():
        raise InvoiceStateError("Say why it is issued before its time.")
    period = periods.period_by_key(tenant, month)
    with audit.acting(actor, reason), transaction.atomic():
        drafted = draft(tenant, period, now)
        if drafted.state == InvoiceState.DRAFT and not drafted.lines.exists():
            raise InvoiceStateError(f"{tenant.name} has nothing to invoice for {month}.")
        invoice = issue(tenant, period, now, before_grace=True)
        announcing.announce(invoice)
    return invoice


def ask_to_close(month: str, now: datetime) -> JobRun:
    """Ask for a closing of 'YYYY-MM', to be worked off by `work_queue`; the one that is under way is answered instead of a second.

    Raises ValueError for another form of month, InvoiceStateError for one that has not ended anywhere yet.
    """
    calendar.parse_month(month)
    if month >= calendar.month_key("Pacific/Kiritimati", now):
        raise InvoiceStateError(f"{month} has not ended anywhere yet.")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(7307, 1)")
        going = JobRun.objects.filter(task=TASK, period__startswith=f"{month} ").exclude(state=JobState.DONE).first()
        return going or JobRun.objects.create(
            task=TASK,
            period=f"{month} {now.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"[:40],
            started_at=now,
            lease_until=now,
            detail={"done": 0, "total": Tenant.objects.count()},
        )


def last_asked(month: str) -> JobRun | None:
    """The latest closing of the month that somebody asked for, with its progress in `detail`."""
    return JobRun.objects.filter(task=TASK, period__startswith=f"{month} ").order_by("-started_at", "-pk").first()


def work_queue(now: datetime) -> int:
    """Work off the closings that were asked for, those of a killed worker included; how many."""
    waiting = JobRun.objects.filter(task=TASK, lease_until__lte=now).exclude(state=JobState.DONE).order_by("pk")
    return sum(_close_by_hand(period, now) for period in list(waiting.values_list("period", flat=True)))


def _close_by_hand(period: str, now: datetime) -> bool:
    month = period.split(" ", 1)[0]
    with jobs.once(TASK, period, atomic=False) as run:
        if run is None:
            return False
        outcomes: Counter[str] = Counter()
        failures: list[str] = []
        total = Tenant.objects.count()
        for number, closed in enumerate(close(month, now), start=1):
            outcomes[closed.outcome] += 1
            if closed.outcome == "failed" and len(failures) < MOST_FAILURES:
                failures.append(f"{closed.tenant.slug}: {closed.detail}")
            if number % EVERY == 0 or number == total:
                run.detail = {"done": number, "total": total, "outcomes": dict(outcomes), "failures": failures}
                run.save_progress()
        return True


@transaction.atomic
def _issue(tenant: Tenant, period: BillingPeriod, now: datetime) -> Closed:
    # Two closings at once meet at the invoice's row lock; the second finds it issued and gets it back unchanged.
    prepared = prepare(tenant, period, now)
    if not prepared.has_lines:
        prepared.invoice.delete()
        return Closed(tenant, "nothing to invoice")
    invoice = freeze(prepared, now)
    announcing.announce(invoice)
    return Closed(tenant, "issued", invoice.number)


def due(now: datetime) -> Iterator[Closed]:
    """What the clock owes: last month of every tenant whose month has ended and is not issued yet."""
    taken = Invoice.objects.filter(tenant=OuterRef("pk"), state__in=[InvoiceState.ISSUED, InvoiceState.PAID])
    for tenant in Tenant.objects.select_related("tier").iterator(chunk_size=500):
        current = periods.period_at(tenant, now)
        month = calendar.previous_month(current.key)
        if not Tenant.objects.filter(Q(pk=tenant.pk), Exists(taken.filter(period__key=month))).exists():
            yield close_tenant(tenant, month, now)
