"""The operators' pages of metering. Importing this package registers them."""

from metering.models import Meter
from tenants.admin import wording

from . import budget, gap, invoice, monitoring, notification, parties, price_book, records, unknown_usage

wording.use_meters(lambda: list(Meter.objects.values_list("key", flat=True)))

__all__ = [
    "budget", "gap", "invoice", "monitoring", "notification", "parties", "price_book", "records", "unknown_usage",
]  # fmt: skip
