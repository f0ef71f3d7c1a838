"""Pricing: from usage and price books to the lines of a bill, exactly. PURE: no Django, no Redis, no settings, no clock.

Example::

    version = default_version(datetime(2026, 1, 1, tzinfo=UTC))
    month = month_period("Europe/Zurich", 2026, 3)
    rating = rate([Segment("api_calls", 1500, month.start, month.end)], [version], month)
    rating.subtotal            # Money("1.50", "USD")
    rating.lines[0].explanation()
"""

from .adjustments import Adjustment, adjust, settled
from .book import (
    DEFAULT_PRICES,
    EVERYTHING,
    BookInForce,
    Price,
    PriceVersion,
    charge_name,
    check_publishable,
    cuts,
    default_version,
    timeline,
    version_at,
)
from .charges import Commitment, FlatFee, Graduated, Package, Part, PerUnit, PriceError, Tier, UsageCharge, Volume
from .gaps import BilledGap, LastKnown, gap_quantity, gap_segments
from .lines import Line, Quarantined, Rating, Segment
from .parsing import PriceRow, parse_price, parse_version
from .quantities import LevelIntegral, Reading, integrate_level, priced_quantity
from .rating import rate
from .tax import NO_TAX, Taxed, TaxRule, tax

__all__ = [
    "DEFAULT_PRICES",
    "EVERYTHING",
    "NO_TAX",
    "Adjustment",
    "BilledGap",
    "BookInForce",
    "Commitment",
    "FlatFee",
    "Graduated",
    "LastKnown",
    "LevelIntegral",
    "Line",
    "Package",
    "Part",
    "PerUnit",
    "Price",
    "PriceError",
    "PriceRow",
    "PriceVersion",
    "Quarantined",
    "Rating",
    "Reading",
    "Segment",
    "TaxRule",
    "Taxed",
    "Tier",
    "UsageCharge",
    "Volume",
    "adjust",
    "charge_name",
    "check_publishable",
    "cuts",
    "default_version",
    "gap_quantity",
    "gap_segments",
    "integrate_level",
    "parse_price",
    "parse_version",
    "priced_quantity",
    "rate",
    "settled",
    "tax",
    "timeline",
    "version_at",
]
