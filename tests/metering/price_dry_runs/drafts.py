"""A draft of prices to try things on."""

from __future__ import annotations

from datetime import UTC, datetime

from django.utils import timezone

from metering.costing import price_dry_runs
from metering.models import PriceBook, PriceBookVersion
from metering.prices import price_books


def draft_of_prices() -> PriceBookVersion:
    """Version 2 of the default book, starting in 2040, with a finished dry run."""
    book = PriceBook.objects.get(is_default=True)
    version = price_books.new_version(book, datetime(2040, 1, 1, tzinfo=UTC), actor="user:olivia")
    now = timezone.now()
    price_dry_runs.work(price_dry_runs.request(version, now, actor="user:olivia"), now)
    return version


def published_for_later() -> PriceBookVersion:
    """The next version of the default book, published and starting in 2042."""
    book = PriceBook.objects.get(is_default=True)
    version = price_books.new_version(book, datetime(2042, 1, 1, tzinfo=UTC), actor="user:olivia")
    price_books.publish(version, timezone.now(), actor="user:olivia", reason="Price list of 2042")
    return version
