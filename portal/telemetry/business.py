"""What the database knows, as a page for Prometheus, whatever the number of tenants and of scrapers.

Working it out takes seconds with thousands of tenants, and a scrape must not: everybody gets the last page, which says how old it is,
and one thread makes the next one in the background when that is older than `RENEW_SECONDS`.
"""

from __future__ import annotations

import logging
import threading
import time

from django.db import connections
from prometheus_client import CollectorRegistry

from metering import metrics
from tenants.exposition import Page, render

RENEW_SECONDS = 10.0
PATIENCE = 0.2
"""Seconds for which a scrape waits for a page that is just being made."""

AGE = """# HELP portal_business_metrics_age_seconds How long ago the database was asked for these metrics.
# TYPE portal_business_metrics_age_seconds gauge
portal_business_metrics_age_seconds %.3f
"""
log = logging.getLogger(__name__)


class BusinessPage:
    """The page of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        metrics.register(self._registry)
        self._latest: tuple[float, Page] | None = None
        self._making = threading.Lock()

    def get(self, accept: str = "") -> Page:
        """The last page; only the very first caller of a process waits until there is one. Plain text, whatever `accept` says."""
        latest = self._latest or self._first()
        if time.monotonic() - latest[0] > RENEW_SECONDS and self._making.acquire(blocking=False):
            thread = threading.Thread(target=self._renew, name="business-metrics", daemon=True)
            thread.start()
            thread.join(PATIENCE)
        made, page = self._latest or latest
        return Page(page.content_type, page.body + (AGE % (time.monotonic() - made)).encode())

    def _first(self) -> tuple[float, Page]:
        with self._making:
            return self._latest or self._make()

    def _make(self) -> tuple[float, Page]:
        started = time.monotonic()
        self._latest = made = (started, render("", self._registry))
        return made

    def _renew(self) -> None:
        try:
            self._make()
        except Exception:
            log.exception("business_metrics.failed")  # the last page stays, and its age grows
        finally:
            connections.close_all()
            self._making.release()

    def forget(self) -> None:
        """Make the next page anew."""
        self._latest = None


PAGE = BusinessPage()
"""This process's page."""
