"""What people say to a budget that warns: I have seen it, or be quiet until then."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from metering.models import Budget, BudgetAlert
from tenants.audit import acting
from tenants.problems import invalid

LONGEST_SILENCE = timedelta(days=366)
NOTE_MOST = 300


def mute(budget: Budget, until: datetime, now: datetime, *, actor: str, reason: str = "") -> None:
    """Send no mails of this budget before the aware instant `until`. Alerts are still kept, actions taken and webhooks sent.

    Raises Invalid for an instant that is not ahead or more than a year away.
    """
    if not now < until <= now + LONGEST_SILENCE:
        raise invalid("until", "Choose an instant that lies ahead, within a year.")
    _set(budget, until, actor, reason)


def unmute(budget: Budget, *, actor: str, reason: str = "") -> None:
    """Send mails again. What was crossed in the meantime is not told any more."""
    _set(budget, None, actor, reason)


def acknowledge(alerts: Iterable[BudgetAlert], now: datetime, *, actor: str, note: str = "") -> int:
    """Write down who has seen these alerts, when, and what they say to it; how many nobody had seen before."""
    chosen = BudgetAlert.objects.filter(pk__in=[alert.pk for alert in alerts], acknowledged_at__isnull=True)
    return chosen.update(acknowledged_at=now, acknowledged_by=actor[:160], acknowledged_note=note.strip()[:NOTE_MOST])


def _set(budget: Budget, until: datetime | None, actor: str, reason: str) -> None:
    with acting(actor, reason):
        budget.muted_until = until
        budget.save(update_fields=["muted_until"])
