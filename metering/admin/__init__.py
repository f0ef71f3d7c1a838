"""The operators' pages of metering. Importing this package registers them."""

from metering.models import Meter
from tenants.admin import wording

from . import budget, monitoring, notification, price_book, records

wording.use_meters(lambda: list(Meter.objects.values_list("key", flat=True)))

__all__ = ["budget", "monitoring", "notification", "price_book", "records"]
