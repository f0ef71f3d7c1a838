"""What an hour of a GPU model costs a tenant at this moment."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal

from metering import memo
from metering.prices import price_books
from metering.pricing import version_at
from metering.pricing.charges import PerUnit
from metering.reservations import estimates
from tenants.models import Tenant
from tenants.problems import ProblemError

METER = "gpu_hours"


def in_force(wanted: Mapping[Tenant, Collection[str]], now: datetime) -> dict[tuple[int, str], Decimal]:
    """By tenant id and model, the price of the next GPU hour; where no price covers it there is no entry, and no cost is stated.

    A plain price is read from the book; on a ladder or within an allowance it is what the next hour adds to the month's bill.
    """
    found: dict[tuple[int, str], Decimal] = {}
    with memo.remembering():
        versions = price_books.timelines(wanted)
        for tenant, models in wanted.items():
            version = version_at(versions[tenant.pk], now)
            for model in models:
                price = version.price_of(METER, {"model": model}) if version else None
                if price is None:
                    continue
                if isinstance(price.charge, PerUnit) and not price.allowance:
                    found[tenant.pk, model] = price.charge.unit_price
                    continue
                try:
                    found[tenant.pk, model] = estimates.estimate(
                        tenant, gpus=1, gpu_model=model, fraction=Decimal(1), seconds=3600, labels={}, now=now
                    ).per_gpu_hour
                except ProblemError:
                    continue
    return found
