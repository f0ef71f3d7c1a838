"""The columns of FOCUS 1.2: which there are, what they may hold. PURE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Level: TypeAlias = Literal["mandatory", "recommended", "conditional"]
Kind: TypeAlias = Literal["text", "decimal", "price", "instant", "currency", "pairs"]
"""`price`: a decimal that is not negative; `instant`: a date-time in UTC; `pairs`: a flat JSON object."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the specification; empty means null in CSV, and only a nullable one may be empty."""

    name: str
    level: Level
    nullable: bool
    kind: Kind
    allowed: frozenset[str] = frozenset()


SUBCATEGORIES: Final[dict[str, tuple[str, ...]]] = {
    "AI and Machine Learning": (
        "AI Platforms", "Bots", "Generative AI", "Machine Learning", "Natural Language Processing", "Other (AI and Machine Learning)",
    ),
    "Analytics": (
        "Analytics Platforms", "Business Intelligence", "Data Processing", "Search", "Streaming Analytics", "Other (Analytics)",
    ),
    "Business Applications": ("Productivity and Collaboration", "Other (Business Applications)"),
    "Compute": (
        "Containers", "End User Computing", "Quantum Compute", "Serverless Compute", "Virtual Machines", "Other (Compute)",
    ),
    "Databases": (
        "Caching", "Data Warehouses", "Ledger Databases", "NoSQL Databases", "Relational Databases", "Time Series Databases",
        "Other (Databases)",
    ),
    "Developer Tools": (
        "Developer Platforms", "Continuous Integration and Deployment", "Development Environments", "Source Code Management",
        "Quality Assurance", "Other (Developer Tools)",
    ),
    "Identity": ("Identity and Access Management", "Other (Identity)"),
    "Integration": ("API Management", "Messaging", "Workflow Orchestration", "Other (Integration)"),
    "Internet of Things": ("IoT Analytics", "IoT Platforms", "Other (Internet of Things)"),
    "Management and Governance": (
        "Architecture", "Compliance", "Cost Management", "Data Governance", "Disaster Recovery", "Endpoint Management", "Observability",
        "Support", "Other (Management and Governance)",
    ),
    "Media": ("Content Creation", "Gaming", "Media Streaming", "Mixed Reality", "Other (Media)"),
    "Migration": ("Data Migration", "Resource Migration", "Other (Migration)"),
    "Mobile": ("Other (Mobile)",),
    "Multicloud": ("Multicloud Integration", "Other (Multicloud)"),
    "Networking": (
        "Application Networking", "Content Delivery", "Network Connectivity", "Network Infrastructure", "Network Routing",
        "Network Security", "Other (Networking)",
    ),
    "Security": ("Secret Management", "Security Posture Management", "Threat Detection and Response", "Other (Security)"),
    "Storage": (
        "Backup Storage", "Block Storage", "File Storage", "Object Storage", "Storage Platforms", "Other (Storage)",
    ),
    "Web": ("Application Platforms", "Other (Web)"),
    "Other": ("Other (Other)",),
}  # fmt: skip
"""Service categories with their subcategories: each of these has that one parent."""

_USED = frozenset({"Used", "Unused"})


def _column(
    name: str, level: Level, kind: Kind = "text", *, null: bool = True, allowed: frozenset[str] = frozenset()
) -> Column:
    return Column(name, level, null, kind, allowed)


COLUMNS: Final[tuple[Column, ...]] = (
    _column("AvailabilityZone", "recommended"),
    _column("BilledCost", "mandatory", "decimal", null=False),
    _column("BillingAccountId", "mandatory", null=False),
    _column("BillingAccountName", "mandatory"),
    _column("BillingAccountType", "conditional", null=False),
    _column("BillingCurrency", "mandatory", "currency", null=False),
    _column("BillingPeriodEnd", "mandatory", "instant", null=False),
    _column("BillingPeriodStart", "mandatory", "instant", null=False),
    _column("CapacityReservationId", "conditional"),
    _column("CapacityReservationStatus", "conditional", allowed=_USED),
    _column(
        "ChargeCategory", "mandatory", null=False, allowed=frozenset({"Usage", "Purchase", "Tax", "Credit", "Adjustment"})
    ),
    _column("ChargeClass", "mandatory", allowed=frozenset({"Correction"})),
    _column("ChargeDescription", "mandatory"),
    _column(
        "ChargeFrequency", "recommended", null=False, allowed=frozenset({"One-Time", "Recurring", "Usage-Based"})
    ),
    _column("ChargePeriodEnd", "mandatory", "instant", null=False),
    _column("ChargePeriodStart", "mandatory", "instant", null=False),
    _column("CommitmentDiscountCategory", "conditional", allowed=frozenset({"Spend", "Usage"})),
    _column("CommitmentDiscountId", "conditional"),
    _column("CommitmentDiscountName", "conditional"),
    _column("CommitmentDiscountQuantity", "conditional", "decimal"),
    _column("CommitmentDiscountStatus", "conditional", allowed=_USED),
    _column("CommitmentDiscountType", "conditional"),
    _column("CommitmentDiscountUnit", "conditional"),
    _column("ConsumedQuantity", "conditional", "decimal"),
    _column("ConsumedUnit", "conditional"),
    _column("ContractedCost", "mandatory", "decimal", null=False),
    _column("ContractedUnitPrice", "conditional", "price"),
    _column("EffectiveCost", "mandatory", "decimal", null=False),
    _column("InvoiceId", "recommended"),
    _column("InvoiceIssuerName", "mandatory", null=False),
    _column("ListCost", "mandatory", "decimal", null=False),
    _column("ListUnitPrice", "conditional", "price"),
    _column("PricingCategory", "conditional", allowed=frozenset({"Standard", "Dynamic", "Committed", "Other"})),
    _column("PricingCurrency", "conditional", "currency"),
    _column("PricingCurrencyContractedUnitPrice", "conditional", "price"),
    _column("PricingCurrencyEffectiveCost", "conditional", "decimal"),
    _column("PricingCurrencyListUnitPrice", "conditional", "price"),
    _column("PricingQuantity", "mandatory", "decimal"),
    _column("PricingUnit", "mandatory"),
    _column("ProviderName", "mandatory", null=False),
    _column("PublisherName", "mandatory", null=False),
    _column("RegionId", "conditional"),
    _column("RegionName", "conditional"),
    _column("ResourceId", "conditional"),
    _column("ResourceName", "conditional"),
    _column("ResourceType", "conditional"),
    _column("ServiceCategory", "mandatory", null=False, allowed=frozenset(SUBCATEGORIES)),
    _column("ServiceName", "mandatory", null=False),
    _column(
        "ServiceSubcategory", "recommended", null=False,
        allowed=frozenset(name for names in SUBCATEGORIES.values() for name in names),
    ),
    _column("SkuId", "conditional"),
    _column("SkuMeter", "conditional"),
    _column("SkuPriceDetails", "conditional", "pairs"),
    _column("SkuPriceId", "conditional"),
    _column("SubAccountId", "conditional"),
    _column("SubAccountName", "conditional"),
    _column("SubAccountType", "conditional"),
    _column("Tags", "conditional", "pairs"),
)  # fmt: skip
"""All columns of the specification, in its (alphabetical) order."""

MANDATORY: Final = tuple(column.name for column in COLUMNS if column.level == "mandatory")

EXPORTED: Final = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory",
    "ChargeClass", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart", "ConsumedQuantity", "ConsumedUnit",
    "ContractedCost", "ContractedUnitPrice", "EffectiveCost", "InvoiceId", "InvoiceIssuerName", "ListCost", "ListUnitPrice",
    "PricingCategory", "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "ServiceCategory", "ServiceName",
    "ServiceSubcategory", "SkuId", "SkuMeter", "SkuPriceDetails", "SkuPriceId", "Tags",
    "x_LineKey", "x_LineKind", "x_OriginPeriod", "x_PriceVersions",
)  # fmt: skip
"""What our files hold: every mandatory column, those conditional ones that apply here (no regions, resources or sub-accounts), and ours."""

SKU_PROPERTIES: Final = frozenset(
    {
        "CoreCount", "DiskMaxIops", "DiskSpace", "DiskType", "GpuCount", "InstanceSeries", "InstanceType", "MemorySize", "NetworkMaxIops",
        "NetworkMaxThroughput", "OperatingSystem", "Redundancy", "StorageClass",
    }
)  # fmt: skip
"""Keys of SkuPriceDetails that the specification defines; any other begins with x_."""
