"""Celery tasks of tenants: each body is one call."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from tenants import enforcement, periods
from tenants.database import replica
from tenants.enforcement.publishing import policy
from tenants.people import visits


@shared_task
def reconcile_policies() -> None:
    """Bring Redis in line with the database, whatever was missed; months that begin soon are there before they do."""
    now = timezone.now()
    periods.prepare(now)
    enforcement.reconcile(now)


@shared_task
def beat_for_the_replica() -> None:
    """Write the time, where a read replica is to be judged by it."""
    replica.beat()


@shared_task
def apply_scheduled_limits() -> None:
    """Publish the tenants whose overrides or blocks started or ended since the last look."""
    policy.publish_due(timezone.now())


@shared_task
def end_visits() -> None:
    """End the operators' visits whose time is over."""
    visits.end_overdue(timezone.now())
