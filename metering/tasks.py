"""Celery tasks of metering: each body is one call. What must happen once a period goes through `jobs.once`."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from metering import budgets, collecting, counters, housekeeping, notifications, quota_alerts, rollups
from metering.billing import closing
from metering.webhooks import delivery


@shared_task
def flush_call_counters() -> None:
    counters.flush(timezone.now())


@shared_task
def roll_up_usage() -> None:
    rollups.run(timezone.now())


@shared_task
def run_collectors() -> None:
    collecting.run_due(timezone.now())


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
def tidy_up() -> None:
    housekeeping.tidy_up(timezone.now())


@shared_task
def close_months() -> None:
    """Draft last month's invoices, and issue those whose grace time has passed."""
    for _ in closing.due(timezone.now()):
        pass


@shared_task
def send_webhooks() -> None:
    delivery.send_due(timezone.now())
