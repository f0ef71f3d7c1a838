"""Celery tasks of metering: each body is one call. What must happen once a period goes through `jobs.once`."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from metering.alerts import anomalies, quota_alerts, unknown_usage
from metering.billing import announcing, closing
from metering.collecting import rounds
from metering.costing import price_dry_runs
from metering.files import exporting
from metering.finance import finance_report
from metering.gpu_use import releasing, telling
from metering.ledger import counters, rollups
from metering.quota_requests import ending
from metering.reservations import keeping
from metering.telling import notice_digests, notifications
from metering.usage import gap_shares
from metering.webhooks import delivery

from . import budgets, event_store, housekeeping


@shared_task
def flush_call_counters() -> None:
    counters.flush(timezone.now())


@shared_task
def roll_up_usage() -> None:
    rollups.run(timezone.now())


@shared_task
def run_collectors() -> None:
    """Ask every collector to run: those of a node there, through its own queue. What nobody took within a minute is asked again anyway."""
    for name, queue in rounds.queues():
        run_collector.apply_async([name], expires=60, **({"queue": queue} if queue else {}))


@shared_task
def run_collector(name: str) -> None:
    rounds.run_due(timezone.now(), name)


@shared_task
def check_budgets() -> None:
    budgets.check_all(timezone.now())


@shared_task
def check_quotas() -> None:
    quota_alerts.check_all(timezone.now())


@shared_task
def send_notifications() -> None:
    notifications.send_due(timezone.now())


@shared_task
def keep_partitions() -> None:
    housekeeping.keep_partitions(timezone.now())


@shared_task
def retire_ledger_months() -> None:
    """Remove the months of the ledger that LEDGER_KEEP_MONTHS no longer keeps."""
    housekeeping.retire_months(timezone.now())


@shared_task
def settle_events() -> None:
    """Move booked events on to where they stay, where that is another server."""
    event_store.store().settle()


@shared_task
def tidy_up() -> None:
    housekeeping.tidy_up(timezone.now())


@shared_task
def close_months() -> None:
    """Draft the invoices of ended months, and issue those whose grace time has passed."""
    for _ in closing.due(timezone.now()):
        pass


@shared_task
def announce_invoices() -> None:
    """Write the mails and webhooks of invoices that were issued."""
    announcing.announce_due(timezone.now())


@shared_task
def close_months_by_hand() -> None:
    """Work off the closings that operators have asked for, and go on with those that were interrupted."""
    closing.work_queue(timezone.now())


@shared_task
def settle_gaps() -> None:
    gap_shares.settle(timezone.now())


@shared_task
def run_price_dry_runs() -> None:
    price_dry_runs.work_queue(timezone.now())


@shared_task
def check_unknown_usage() -> None:
    unknown_usage.check_all(timezone.now())


@shared_task
def keep_reservations() -> None:
    """Let abandoned reservations lapse, and book the hours that running ones have held."""
    keeping.run(timezone.now())


@shared_task
def watch_gpus() -> None:
    """Tell operators of GPU time that belongs to nobody, and release idle reservations where a rule says so."""
    now = timezone.now()
    telling.tell_unattributed(now)
    releasing.run(now)


@shared_task
def send_webhooks() -> None:
    delivery.send_due(timezone.now())


@shared_task
def find_anomalies() -> None:
    """Judge the last settled day of every tenant, once each."""
    anomalies.find_all(timezone.now())


@shared_task
def warn_of_ending_grants() -> None:
    """Tell who has a higher limit for a while that it ends soon."""
    ending.warn_all(timezone.now())


@shared_task
def send_finance_report() -> None:
    """Last month's costs to finance, once."""
    finance_report.send_due(timezone.now())


@shared_task
def send_notice_digests() -> None:
    """One mail a day to those who want it so."""
    notice_digests.send_all(timezone.now())


@shared_task
def write_exports() -> None:
    """Write the files that members have asked for, and let old ones go."""
    exporting.work_queue(timezone.now())
