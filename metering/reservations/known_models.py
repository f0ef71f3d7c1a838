"""Which GPU models may be reserved: a misspelt name must not be priced by a price that is meant for others."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings

from metering.models import GpuDevice
from metering.prices import price_books
from metering.pricing import version_at
from metering.reservations.estimates import METER
from tenants import access
from tenants.models import Tenant
from tenants.problems import FieldError, Invalid

UNREADABLE = frozenset({"", "unknown"})
"""What a device is called whose driver gives no name."""


def require(tenant: Tenant, gpu_model: str, now: datetime) -> None:
    """Raise Invalid (`unknown_model`, naming the known ones) unless a price, the platform's setting or its fleet knows the model.

    A price for GPUs of every model covers the known ones only: what it would say of "H1000" is a guess.
    """
    if gpu_model in settings.GPU_MODELS:
        return
    known = _priced(tenant, now) | _of_the_fleet()
    if gpu_model not in known:
        names = ", ".join(sorted(known | set(settings.GPU_MODELS), key=str.lower))
        raise Invalid(
            FieldError("/gpu_model", "unknown_model", f"No GPU model is called {gpu_model!r}. Known are {names}.")
        )


def _priced(tenant: Tenant, now: datetime) -> set[str]:
    version = version_at(price_books.versions_for(tenant), now)
    prices = version.prices_of(METER) if version else ()
    return {price.dim_value for price in prices if price.dim_key == "model" and price.dim_value}


def _of_the_fleet() -> set[str]:
    """Devices belong to no tenant, so a tenant's role cannot read them."""
    with access.platform_scope():
        return set(GpuDevice.objects.order_by().values_list("model", flat=True).distinct()) - UNREADABLE
