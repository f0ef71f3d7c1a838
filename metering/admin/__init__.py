"""The operators' pages of metering. Importing this package registers them."""

from metering.models import Meter
from metering.reservations.caps import GPUS_AT_ONCE, HOURS_OF_ONE
from tenants.admin import wording

from . import (
    budget,
    gap,
    gpu_care,
    invoice,
    monitoring,
    notification,
    parties,
    price_book,
    records,
    reservation,
    unknown_usage,
    webhook,
)

wording.use_meters(lambda: [*Meter.objects.values_list("key", flat=True), GPUS_AT_ONCE, HOURS_OF_ONE])

__all__ = [
    "budget", "gap", "gpu_care", "invoice", "monitoring", "notification", "parties", "price_book", "records", "reservation", "unknown_usage", "webhook",
]  # fmt: skip
