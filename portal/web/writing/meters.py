"""The catalogue of meters, as every page that names one wants it."""

from __future__ import annotations

from collections.abc import Mapping

from metering import memo
from metering.models import Meter

Meters = Mapping[str, Meter]


def all_meters() -> dict[str, Meter]:
    """Every meter by key, in the order of the catalogue."""
    return memo.meters()
