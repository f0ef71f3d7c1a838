"""The billing hours of a tenant: counted from the start of its stored billing period, so that none crosses a month's edge.

In zones with whole-hour offsets they are the UTC hours; in Asia/Kolkata they start at :30.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tenants.models import BillingPeriod, Tenant
from tenants.periods import period_at

HOUR = timedelta(hours=1)


class BillingHours:
    """Answers for one tenant; remembers the periods it has seen, so keep one for a batch of instants."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._known: list[BillingPeriod] = []
        self._start = self._end = datetime.min.replace(tzinfo=UTC)

    def start_of(self, instant: datetime) -> datetime:
        """The UTC start of the billing hour that contains the aware UTC instant."""
        if not self._start <= instant < self._end:
            self._switch(instant)
        return instant - (instant - self._start) % HOUR

    def end_of(self, start: datetime) -> datetime:
        """Where the hour that starts at `start` ends; the last one of a period may be shorter than 60 minutes."""
        self.start_of(start)
        return min(start + HOUR, self._end)

    def starts_between(self, first: datetime, last: datetime) -> list[datetime]:
        """The starts of the hours from the one that contains `first` to the one that contains `last`, in order."""
        starts = [self.start_of(first)]
        while (following := self.end_of(starts[-1])) <= last:
            starts.append(following)
        return starts

    def _switch(self, instant: datetime) -> None:
        period = next((each for each in self._known if each.starts_at <= instant < each.ends_at), None)
        if period is None:
            period = period_at(self._tenant, instant)
            self._known.append(period)
        self._start, self._end = period.starts_at.astimezone(UTC), period.ends_at.astimezone(UTC)
