"""One run of a collector, whoever asks for it."""

from __future__ import annotations

import logging
from datetime import datetime

from metering.models.collector import CollectorState

from .base import EVERYTHING, Collected, Collector, Gap

log = logging.getLogger(__name__)


def collect(collector: Collector, now: datetime, deadline: float) -> Collected:
    """What the collector answers; a fault of its own is an answer too, with nothing booked and nothing to remember."""
    try:
        return collector.collect(now, deadline)
    except Exception as error:
        log.exception("collector.raised", extra={"collector": collector.name})
        reason = f"{type(error).__name__}: {error}"[:300]
        return Collected(CollectorState.ERROR, detail=reason, gaps=(Gap(EVERYTHING, reason),))
