"""Reservations of acme on real PostgreSQL and Redis."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from metering.models import Reservation
from metering.reservations import granting
from metering.reservations.granting import Wish
from tenants.models import Tenant

HOUR = 3_600
Reserve = Callable[..., Reservation]


def wish(**values: Any) -> Wish:
    known: dict[str, Any] = {"gpus": 1, "gpu_model": "H100", "fraction": Decimal(1), "seconds": 10 * HOUR, "labels": {}}
    return Wish(**known | values)


@pytest.fixture
def reserve(acme: Tenant, now: datetime, redis_server: Any) -> Reserve:
    """Reserve GPUs for acme: `reserve(at=…, gpus=2, seconds=…)`."""

    def make(at: datetime = now, tenant: Tenant = acme, **values: Any) -> Reservation:
        return granting.reserve(tenant, wish(**values), id=uuid.uuid4(), actor="test", now=at).reservation

    return make
