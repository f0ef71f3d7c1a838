"""A small sound file, and ways to break it."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from metering.focus.validation import Finding, validate

USAGE = {
    "BilledCost": "25.00", "BillingAccountId": "acme", "BillingAccountName": "Acme", "BillingCurrency": "USD",
    "BillingPeriodEnd": "2026-08-01T00:00:00Z", "BillingPeriodStart": "2026-07-01T00:00:00Z", "ChargeCategory": "Usage", "ChargeClass": "",
    "ChargeDescription": "GPU hours", "ChargeFrequency": "Usage-Based", "ChargePeriodEnd": "2026-08-01T00:00:00Z",
    "ChargePeriodStart": "2026-07-01T00:00:00Z", "ConsumedQuantity": "10", "ConsumedUnit": "GPU-Hours", "ContractedCost": "25.00",
    "ContractedUnitPrice": "2.5", "EffectiveCost": "25.00", "InvoiceId": "INV-000001", "InvoiceIssuerName": "Portal Ltd", "ListCost": "25.00",
    "ListUnitPrice": "2.5", "PricingCategory": "Standard", "PricingQuantity": "10", "PricingUnit": "GPU-Hours", "ProviderName": "Portal",
    "PublisherName": "Portal", "ServiceCategory": "Compute", "ServiceName": "GPU hours", "ServiceSubcategory": "Other (Compute)",
    "SkuId": "gpu_hours", "SkuMeter": "GPU hours", "SkuPriceDetails": '{"x_model": "H100"}', "SkuPriceId": "gpu_hours|2.5",
    "Tags": '{"project": "mammo"}', "x_LineKind": "usage",
}  # fmt: skip
_NO_PRICE = dict.fromkeys(
    ("ConsumedQuantity", "ConsumedUnit", "ContractedUnitPrice", "ListUnitPrice", "PricingCategory", "PricingQuantity", "PricingUnit", "SkuId",
     "SkuMeter", "SkuPriceDetails", "SkuPriceId", "Tags"), "",
)  # fmt: skip
_TWO = dict.fromkeys(("BilledCost", "ContractedCost", "EffectiveCost", "ListCost"), "2.00")
_ELSEWHERE = {"ServiceCategory": "Other", "ServiceSubcategory": "Other (Other)", "ChargeFrequency": "One-Time"}
TAX = USAGE | _NO_PRICE | _TWO | _ELSEWHERE | {"ChargeCategory": "Tax", "ServiceName": "Tax"}
CREDIT = USAGE | _NO_PRICE | _TWO | _ELSEWHERE | {"ChargeCategory": "Credit", "ServiceName": "Credit", "InvoiceId": "INV-CN-000001"}  # fmt: skip
DOCUMENTS = {"INV-000001": Decimal("27.00"), "INV-CN-000001": Decimal("2.00")}


def check(*rows: dict[str, str], without: Iterable[str] = ()) -> list[Finding]:
    """What is found in a file of these rows."""
    header = [name for name in rows[0] if name not in set(without)]
    return list(validate(header, [[row[name] for name in header] for row in rows], DOCUMENTS))
