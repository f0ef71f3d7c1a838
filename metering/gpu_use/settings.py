"""The platform's settings about energy."""

from __future__ import annotations

from django.conf import settings

from .energy import Factors


def factors() -> Factors:
    """PUE and the grid's CO₂e, as the platform has set them."""
    return Factors(settings.ENERGY_PUE, settings.ENERGY_GRAMS_PER_KWH)
